"""What a stage needs while it runs: component decorator, mounts, signals, subprocesses."""
