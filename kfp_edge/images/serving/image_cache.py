"""Builds the serving image once and finds it again by a hash of its inputs."""

import fcntl
import hashlib
from collections.abc import Sequence
from pathlib import Path

from kfp_edge.images.assembly import Progress
from kfp_edge.images.oci.compression import FAST, ZSTD_VERSION
from kfp_edge.images.oci.layer_writer import remove_unused_layers
from kfp_edge.images.platforms import Platform, native_first, native_platform, parse_platforms
from kfp_edge.images.serving.builder import build_serving_image, layout_digest
from kfp_edge.images.serving.debian_base import find_packages
from kfp_edge.images.serving.image_files import SERVER_PACKAGE, list_server_files
from kfp_edge.images.tools.apt import Apt, apt_for
from kfp_edge.images.tools.command import run_tool

_SERVING = Path(__file__).parent
_IMAGES = _SERVING.parent


def ensure_serving_image(
    cache: Path, base: str | None = None, *, architectures: Sequence[str] = (), progress: Progress = print
) -> tuple[Path, str]:
    """Return the layout folder and the digest of the serving image, building it only when it is not in `cache`.

    Safe to be called by several processes at once: one builds, the others wait for it.

    Raises:
        ImageError: the image is not there and cannot be built.
    """
    cache.mkdir(parents=True, exist_ok=True)
    platforms = parse_platforms(architectures)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # buildah takes a folder named by 64 hex digits for an image's id
        layout = cache / f"serving-{_remembered_key(cache, base, platforms)[:16]}"
        if not layout.is_dir():
            build_serving_image(layout, base, architectures=architectures, level=FAST, cache=cache, progress=progress)
            remove_unused_layers(cache / "layers")
    return layout, layout_digest(layout)


def input_key(cache: Path, base: str | None = None, *, architectures: Sequence[str] = ()) -> str:
    """Return 64 hex digits that change when any input of the image changes.

    A base that is named by tag counts by its name; name it by digest to notice that it moved.

    Raises:
        ImageError: this host cannot assemble a base, and none was given; or buildah is missing.
    """
    platforms = parse_platforms(architectures)
    return _hash_inputs(base or repr([find_packages(apt) for apt in _all_apt(cache, platforms)]), platforms)


def _remembered_key(cache: Path, base: str | None, platforms: Sequence[Platform]) -> str:
    """Return `input_key`, which takes apt a second, from the last time that apt's lists were the same."""
    state = base or repr([apt.describe_lists() for apt in _all_apt(cache, platforms)])
    memo = cache / f"key-{_hash_inputs(state, platforms)[:16]}"
    if not memo.is_file():
        temporary = memo.with_suffix(".new")
        temporary.write_text(input_key(cache, base, architectures=[platform.architecture for platform in platforms]))
        temporary.rename(memo)
    return memo.read_text()


def _all_apt(cache: Path, platforms: Sequence[Platform]) -> list[Apt]:
    # this host's own packages count for any platform: their Python compiles the modules
    return [apt_for(platform, cache / "apt" / platform.architecture) for platform in native_first(platforms)]


def _hash_inputs(base: str, platforms: Sequence[Platform]) -> str:
    tools = (run_tool("buildah --version", ["buildah", "--version"]), ZSTD_VERSION, native_platform(), platforms)
    key = hashlib.sha256(repr((*tools, base)).encode())
    for folder, paths in ((SERVER_PACKAGE, list_server_files()), (_IMAGES, _list_builder_files())):
        for path in paths:
            key.update(f"\n{path}\n".encode())
            key.update((folder / path).read_bytes())
    return key.hexdigest()


def _list_builder_files() -> list[Path]:
    """Return the files that build the image, relative to the package of all images."""
    paths = [path for folder in (_IMAGES, _SERVING) for path in folder.iterdir() if path.is_file()]
    return sorted(path.relative_to(_IMAGES) for path in paths)
