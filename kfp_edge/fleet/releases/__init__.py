"""Releases: the image of a model in a ring, and what the ring had before."""
