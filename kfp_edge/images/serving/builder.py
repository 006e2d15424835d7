"""Builds the serving image into an OCI layout folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kfp_edge.images.assembly import (
    Progress,
    add_index,
    add_manifest,
    make_configuration,
    replace_folder,
    scratch_folder,
)
from kfp_edge.images.base_names import UBI9
from kfp_edge.images.bases import Base, fetch_base
from kfp_edge.images.oci.compression import SMALLEST
from kfp_edge.images.oci.documents import Descriptor
from kfp_edge.images.oci.layer_writer import LayerWriter
from kfp_edge.images.oci.layout import LayoutWriter, list_tagged_images, write_index
from kfp_edge.images.platforms import Platform, native_first, native_platform, parse_platforms
from kfp_edge.images.serving.bases import assemble_debian_base, build_ubi9_base
from kfp_edge.images.serving.configuration import LABELS, PROGRAM
from kfp_edge.images.serving.image_files import BytecodeCompiler, ServerFiles
from kfp_edge.images.tools.buildah import Buildah, temporary_storage

#: Name of the image in the layout folder.
TAG = "serving"


def build_serving_image(
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
        base: Image with Python 3.11 or newer to build on, as skopeo names it, or `ubi9` for our Containerfile of it;
            a base of distribution packages when None.
        architectures: `amd64`, `arm64` or both, which gives an image index; that of this host when empty.
        arguments: Build arguments of the Containerfile of `ubi9`.
        level: How hard zstd tries, 1 to 19.
        cache: Folder of compressed layers and package lists that may be used again; None uses none.
        progress: Called with one line for each step.

    Returns:
        The digest of the image's manifest or index, `sha256:...`.

    Raises:
        ImageError: a program is missing, or a package or image cannot be fetched.
    """
    platforms = parse_platforms(architectures)
    output = output.absolute()  # Buildah takes no other paths for the volumes of a container
    with scratch_folder(output.parent) as scratch, temporary_storage(scratch / "storage") as buildah:
        bases = {}
        for platform in native_first(platforms):
            progress(f"making the base for {platform.architecture}")
            bases[platform] = _make_base(base, platform, scratch, (cache or scratch) / "apt", buildah, arguments or {})
        compiler = BytecodeCompiler(buildah, bases[native_platform()], scratch / "work")
        files = _install_and_compile(bases, compiler, progress)
        layout = LayoutWriter(scratch / "layout")
        layers = LayerWriter(layout, level, cache / "layers" if cache else None)
        progress("compressing the layers")
        manifests = [(each, _add_image(layout, layers, each, bases[each], files[each])) for each in platforms]
        write_index(layout.folder, add_index(layout, manifests, LABELS), TAG)
        replace_folder(output, layout.folder, scratch)
    return layout_digest(output)


def layout_digest(layout: Path) -> str:
    """Return the digest of the only image that an OCI layout folder names."""
    return list_tagged_images(layout)[0]["digest"]


def _make_base(
    name: str | None, platform: Platform, scratch: Path, lists: Path, buildah: Buildah, arguments: Mapping[str, str]
) -> Base:
    folder = scratch / f"base-{platform.architecture}"
    if name is None:
        return assemble_debian_base(platform, folder, lists / platform.architecture)
    if name == UBI9:
        return build_ubi9_base(platform, folder, buildah, arguments)
    return fetch_base(name, platform, folder)


def _install_and_compile(
    bases: Mapping[Platform, Base], compiler: BytecodeCompiler, progress: Progress
) -> dict[Platform, ServerFiles]:
    files = {}
    for platform in bases:
        progress(f"installing the dependencies for Python {compiler.python} on {platform.architecture}")
        files[platform] = compiler.install(platform)
    progress("compiling the modules that are loaded at start")
    compiler.find_modules(files[native_platform()])
    for platform, base in bases.items():
        compiler.compile(files[platform], base)
    return files


def _add_image(
    layout: LayoutWriter, layers: LayerWriter, platform: Platform, base: Base, files: ServerFiles
) -> Descriptor:
    below = base.add_layers(layout, layers)
    added = files.add_layers(layers)
    config = make_configuration(PROGRAM, base.get_configuration(), platform, below, added)
    return add_manifest(layout, config, [*below, *(layer for layer, _ in added)], LABELS)
