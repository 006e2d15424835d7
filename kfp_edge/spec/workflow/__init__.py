"""The Workflow that a backend makes of a pipeline: its texts and its size."""
