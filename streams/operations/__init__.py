"""What operators need: status, dead letters, Prometheus and Alertmanager started, simulated feeds."""
