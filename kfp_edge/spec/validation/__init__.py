"""Validation: what a backend would refuse, and why."""
