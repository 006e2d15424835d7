"""Cross-validation and tuning: how sure a metric is, and which hyperparameters are best, from training rows only."""
