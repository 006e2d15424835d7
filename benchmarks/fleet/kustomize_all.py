"""Runs `kubectl kustomize` for folders, as many at once as there are processors: kustomize_all.py KUBECTL FOLDER..."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def _render(folder: str) -> None:
    subprocess.run([sys.argv[1], "kustomize", folder], check=True, stdout=subprocess.DEVNULL)


with ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(_render, sys.argv[2:]))
