"""The contracts of all input and output: events, alerts, cases, dead letters, rules, state."""
