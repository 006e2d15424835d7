"""Compiling pipelines for a backend, also with stages that share a pod."""
