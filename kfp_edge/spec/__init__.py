"""Compiled pipelines: reading, validating and compiling KFP v2 YAML."""
