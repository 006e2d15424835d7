"""Updates of bundles in a folder that a server watches, as sites do them: whole folders, by rename."""

import ctypes
import hashlib
import json
import os
import shutil
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_libc = ctypes.CDLL(None, use_errno=True)


def add_version(bundle: Path, version: str) -> Path:
    """Put another version of a bundle beside it, all at once, and return its folder."""
    folder = bundle.parent / version
    _copy(bundle, version=version).rename(folder)
    return folder


def replace_in_place(bundle: Path, revision: str) -> str:
    """Exchange a bundle for one that only differs in its revision; return the new one's SHA-256.

    At no moment is there no bundle or half of one: renameat2(2) with RENAME_EXCHANGE.
    """
    other = _copy(bundle, revision=revision)
    names = os.fsencode(other), os.fsencode(bundle)
    if _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), f"cannot exchange {bundle}")
    shutil.rmtree(other)
    return hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()


def _copy(bundle: Path, **changed: str) -> Path:
    """Copy a bundle to beside its models, where no server looks, with some fields of its manifest changed."""
    manifest = json.loads((bundle / "manifest.json").read_bytes()) | changed
    copy = bundle.parents[2] / f"incoming-{bundle.parent.name}-{os.getpid()}"
    shutil.copytree(bundle, copy)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy
