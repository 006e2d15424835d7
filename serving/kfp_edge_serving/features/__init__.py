"""Features that are computed from the rows before: definition, windows, and the rows that they are made of."""
