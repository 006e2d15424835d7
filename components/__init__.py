"""One folder a stage: `component.py` is its KFP face, the module beside it does the work."""
