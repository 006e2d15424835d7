"""Logs, metrics, traces and feature statistics."""
