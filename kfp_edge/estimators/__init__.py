"""The estimators that users can name; `estimator.py` says what one is."""
