"""The parameters of a pipeline: how they are declared in groups, and how values are read."""
