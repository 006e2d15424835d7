"""Anomaly detection: a score, and a threshold above which it raises an alarm."""
