"""Notifications: alerts sent to people and systems, by subscription."""
