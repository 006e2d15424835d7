"""Builds the serving image once and remembers it by what it was made from."""

import fcntl
import hashlib
from collections.abc import Sequence
from pathlib import Path

import zstandard

from kfp_edge.images import debian_rootfs
from kfp_edge.images.apt import Apt, apt_for
from kfp_edge.images.command import run
from kfp_edge.images.platforms import Platform, chosen, native, with_native
from kfp_edge.images.serving.builder import FAST, Progress, build, digest
from kfp_edge.images.serving.image_files import HERE, SERVER_PACKAGE, server_files


def ensure(
    cache: Path, base: str | None = None, *, architectures: Sequence[str] = (), progress: Progress = print
) -> tuple[Path, str]:
    """Return the layout folder and the digest of the serving image, building it only when it is not in `cache`.

    Safe to be called by several processes at once: one builds, the others wait for it.

    Raises:
        ImageError: the image is not there and cannot be built.
    """
    cache.mkdir(parents=True, exist_ok=True)
    platforms = chosen(architectures)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # buildah takes a folder named by 64 hex digits for an image's id
        layout = cache / f"serving-{_known_key(cache, base, platforms)[:16]}"
        if not layout.is_dir():
            build(layout, base, architectures=architectures, level=FAST, cache=cache, progress=progress)
            _prune(cache / "layers")
    return layout, digest(layout)


def input_key(cache: Path, base: str | None = None, *, architectures: Sequence[str] = ()) -> str:
    """Return 64 hex digits that change when anything changes that the image is made from.

    A base that is named by tag counts by its name; name it by digest to notice that it moved.

    Raises:
        ImageError: this host cannot assemble a base, and none was given; or buildah is missing.
    """
    platforms = chosen(architectures)
    return _hash(base or repr([debian_rootfs.packages(apt) for apt in _apts(cache, platforms)]), platforms)


def _known_key(cache: Path, base: str | None, platforms: Sequence[Platform]) -> str:
    """Return `input_key`, which takes apt a second, from the last time that apt's lists were the same."""
    state = base or repr([apt.state() for apt in _apts(cache, platforms)])
    memo = cache / f"key-{_hash(state, platforms)[:16]}"
    if not memo.is_file():
        temporary = memo.with_suffix(".new")
        temporary.write_text(input_key(cache, base, architectures=[platform.architecture for platform in platforms]))
        temporary.rename(memo)
    return memo.read_text()


def _apts(cache: Path, platforms: Sequence[Platform]) -> list[Apt]:
    # this host's own packages count for any platform: their Python compiles the modules
    return [apt_for(platform, cache / "apt" / platform.architecture) for platform in with_native(platforms)]


def _hash(base: str, platforms: Sequence[Platform]) -> str:
    tools = (run(["buildah", "--version"]), zstandard.__version__, native(), platforms)
    key = hashlib.sha256(repr((*tools, base)).encode())
    for folder, paths in ((SERVER_PACKAGE, server_files()), (HERE, builder_files())):
        for path in paths:
            key.update(f"\n{path}\n".encode())
            key.update((folder / path).read_bytes())
    return key.hexdigest()


def builder_files() -> list[Path]:
    """Return the files that build the image, relative to this package."""
    return sorted(path.relative_to(HERE) for path in HERE.iterdir() if path.is_file())


def _prune(layers: Path) -> None:
    """Remove the compressed layers that are in no image any more: they have no second name."""
    for layer in layers.iterdir():
        if layer.stat().st_nlink == 1:
            layer.unlink()
