"""Regression: a number, and on request quantiles of it."""
