"""What the columns are: kinds, labels, times, roles, and what their cells violate."""
