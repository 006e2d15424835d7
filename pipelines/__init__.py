"""One module per pipeline; each reads like the diagram in its docstring."""
