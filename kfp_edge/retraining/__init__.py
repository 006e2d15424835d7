"""When a model may be retrained, and whether the new model is better than the one in use."""
