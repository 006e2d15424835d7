"""Helpers of `tests/cluster`, the tests against a real cluster."""
