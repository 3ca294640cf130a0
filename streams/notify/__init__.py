"""Telling people of alerts, by subscription."""
