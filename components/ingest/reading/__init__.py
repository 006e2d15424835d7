"""Reading a table from its source: generated rows, or files in the forms that people have."""
