"""The API server: how it is found, called, and understood."""
