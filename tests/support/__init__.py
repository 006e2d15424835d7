"""Helpers and fakes of the tests."""
