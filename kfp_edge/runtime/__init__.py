"""What a running stage needs: the component decorator, mounts, signals, subprocesses."""
