"""The contract of everything that is written or read: events, alerts, cases, dead letters, rules, state."""
