"""What a model learns: each task is a package, from its target to its plots; `task.py` says what a task is."""
