"""A disk of a few kilobytes, for what happens when one is full; it needs neither root nor a device."""

import os
import shlex
import subprocess
from pathlib import Path


def run_on_small_disk(disk: Path, size: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the shell while `disk` is a disk of this size, such as `64k`, which only the script sees."""
    disk.mkdir()
    mounted = f"set -e\nmount -t tmpfs -o size={size} tmpfs {shlex.quote(str(disk))}\n{script}"
    rights = [] if os.getuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--mount", *rights, "sh", "-c", mounted]
    return subprocess.run(command, capture_output=True, text=True, check=False)
