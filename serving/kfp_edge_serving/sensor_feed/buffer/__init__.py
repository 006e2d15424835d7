"""The buffer on disk: a log of what arrived, and how far it has been answered."""
