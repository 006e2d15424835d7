"""The hub of a fleet: recording and alert rules, the check of an Alertmanager configuration."""
