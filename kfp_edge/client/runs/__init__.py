"""Runs on a server: followed, explained, shown in a notebook, canceled and retried."""
