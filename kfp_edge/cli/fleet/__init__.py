"""`kfp-edge fleet`: the repository of a fleet. One module for each command; `app.py` has them all."""
