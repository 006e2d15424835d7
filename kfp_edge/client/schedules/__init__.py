"""Schedules: recurring runs of KFP, and when they start."""
