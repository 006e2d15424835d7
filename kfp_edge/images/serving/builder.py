"""Builds the serving image into an OCI layout folder."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kfp_edge.images.buildah import Buildah, buildah
from kfp_edge.images.layout import CONFIG_TYPE, MANIFEST_TYPE, Json, Layout, tagged
from kfp_edge.images.platforms import Platform, chosen, native, with_native
from kfp_edge.images.serving import bases
from kfp_edge.images.serving.bases import Base
from kfp_edge.images.serving.configuration import LABELS, configuration
from kfp_edge.images.serving.image_files import BytecodeCompiler, ServerFiles

#: Name of the image in the layout folder.
TAG = "serving"

#: zstd's levels: the smallest image, and one a tenth larger in a tenth of the time.
SMALLEST = 19
FAST = 12

Progress = Callable[[str], None]


def build(
    output: Path,
    base: str | None = None,
    *,
    architectures: Sequence[str] = (),
    arguments: Mapping[str, str] | None = None,
    level: int = SMALLEST,
    cache: Path | None = None,
    progress: Progress = print,
) -> str:
    """Build the serving image, from the same inputs always the same bytes.

    Args:
        output: Folder of the OCI image layout, replaced as a whole; the image in it is tagged `serving`.
        base: Image with Python 3.11 or newer to build on, as skopeo names it, or `ubi9` for our recipe of it;
            a base of distribution packages when None.
        architectures: `amd64`, `arm64` or both, which gives an image index; that of this host when empty.
        arguments: Build arguments of the recipe.
        level: How hard zstd tries, 1 to 19.
        cache: Folder of compressed layers and package lists that may be used again; None uses none.
        progress: Is given one line a step.

    Returns:
        The digest of the image's manifest or index, `sha256:...`.

    Raises:
        ImageError: a program is missing, or a package or image cannot be fetched.
    """
    platforms = chosen(architectures)
    with _scratch(output.parent) as scratch, buildah(scratch / "storage") as tool:
        made = {}
        for platform in with_native(platforms):
            progress(f"making the base for {platform.architecture}")
            made[platform] = _base(base, platform, scratch, (cache or scratch) / "apt", tool, arguments or {})
        programs = _programs(made, BytecodeCompiler(tool, made[native()], scratch / "work"), progress)
        layout = Layout(scratch / "layout", level, cache / "layers" if cache else None)
        progress("compressing the layers")
        manifests = [(each, _add_image(layout, each, made[each], programs[each])) for each in platforms]
        layout.finish(TAG, manifests, LABELS)
        if output.is_dir():
            output.rename(scratch / "replaced")
        (scratch / "layout").rename(output)
    return digest(output)


def digest(layout: Path) -> str:
    """Return the digest of the only image that an OCI layout folder names."""
    return str(tagged(layout)["digest"])


def _base(
    name: str | None, platform: Platform, scratch: Path, lists: Path, tool: Buildah, arguments: Mapping[str, str]
) -> Base:
    folder = scratch / f"base-{platform.architecture}"
    if name is None:
        return bases.assembled(platform, folder, lists / platform.architecture)
    if name == bases.UBI9:
        return bases.ubi9(platform, folder, tool, arguments)
    return bases.fetched(name, platform, folder)


def _programs(
    made: Mapping[Platform, Base], workshop: BytecodeCompiler, progress: Progress
) -> dict[Platform, ServerFiles]:
    programs = {}
    for platform in made:
        progress(f"installing the dependencies for Python {workshop.python} on {platform.architecture}")
        programs[platform] = workshop.install(platform)
    progress("compiling the modules that are loaded at start")
    workshop.look(programs[native()])
    for platform, base in made.items():
        workshop.compile(programs[platform], base)
    return programs


def _add_image(layout: Layout, platform: Platform, base: Base, program: ServerFiles) -> Json:
    below = base.add_layers(layout)
    added = program.add_layers(layout)
    config = configuration(base.configuration(), platform, below, added)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": layout.add_json(config, CONFIG_TYPE),
        "layers": [layer.descriptor for layer in [*below, *(layer for layer, _ in added)]],
        "annotations": LABELS,
    }
    return layout.add_json(manifest, MANIFEST_TYPE)


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    # beside the output, as /tmp may be a small one in memory
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".building-") as folder:
        yield Path(folder)
