"""The sites of a fleet: their files, and the changes of these."""
