"""Splitting rows into those to train and those to test on, without leakage."""
