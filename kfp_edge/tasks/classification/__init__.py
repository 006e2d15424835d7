"""Classification: two or more classes."""
