"""Builds the serving image once and remembers it by what it was made from."""

import fcntl
import hashlib
import platform
from pathlib import Path

from kfp_edge_serving.image import debian
from kfp_edge_serving.image.builder import HERE, Progress, build, digest, server_files
from kfp_edge_serving.image.command import run


def ensure(cache: Path, base: str | None = None, *, progress: Progress = print) -> tuple[Path, str]:
    """Return the layout folder and the digest of the serving image, building it only when it is not in `cache`.

    Safe to be called by several processes at once: one builds, the others wait for it.

    Raises:
        ImageError: the image is not there and cannot be built.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        layout = cache / _known_key(cache, base)
        if not layout.is_dir():
            build(layout, base, progress=progress)
    return layout, digest(layout)


def input_key(base: str | None = None) -> str:
    """Return 64 hex digits that change when anything changes that the image is made from.

    A base that is named by tag counts by its name; name it by digest to notice that it moved.

    Raises:
        ImageError: this host cannot assemble a base, and none was given; or buildah is missing.
    """
    return _hash(base or repr(debian.candidates()))


def _known_key(cache: Path, base: str | None) -> str:
    """Return `input_key`, which takes apt a second, from the last time that apt's lists were the same."""
    memo = cache / f"key-{_hash(base or debian.lists_state())}"
    if not memo.is_file():
        temporary = memo.with_suffix(".new")
        temporary.write_text(input_key(base))
        temporary.rename(memo)
    return memo.read_text()


def _hash(base: str) -> str:
    builder = run(["buildah", "--version"])
    key = hashlib.sha256(repr((platform.machine(), builder, base)).encode())
    for path in [*server_files(), *sorted(path for path in HERE.iterdir() if path.is_file())]:
        key.update(f"\n{path.relative_to(HERE.parent)}\n".encode())
        key.update(path.read_bytes())
    return key.hexdigest()
