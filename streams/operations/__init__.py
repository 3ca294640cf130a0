"""Tools for operators: status, dead letters, local Prometheus and Alertmanager, simulated feeds."""
