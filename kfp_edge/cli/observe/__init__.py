"""`kfp-edge observe`: what a fleet reports, from the site to the hub. One module for each command; `app.py` has all."""
