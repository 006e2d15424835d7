"""Builds the image of managed pipelines into an OCI layout folder: a base with a shell, and one layer on it.

What the operator and the API server of OpenShift AI expect of it is in docs/backends.md, "Managed pipelines".
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from kfp_edge import __version__
from kfp_edge.images.assembly import (
    ImageProgram,
    Progress,
    add_index,
    add_manifest,
    make_configuration,
    replace_folder,
    scratch_folder,
)
from kfp_edge.images.base_names import PACKAGES, UBI9
from kfp_edge.images.bases import Base, DebianBase, fetch_base
from kfp_edge.images.managed_pipelines.base_pipelines import MANIFEST_PATH, BasePipelines, read_base_pipelines
from kfp_edge.images.managed_pipelines.debian_base import assemble_rootfs
from kfp_edge.images.managed_pipelines.pipelines import ManagedPipeline, check_unique
from kfp_edge.images.oci.compression import SMALLEST
from kfp_edge.images.oci.documents import Descriptor, ImageConfig
from kfp_edge.images.oci.layer_writer import LayerWriter
from kfp_edge.images.oci.layout import LayoutWriter, write_index
from kfp_edge.images.platforms import Platform, parse_platforms
from kfp_edge.images.tools.apt import apt_for
from kfp_edge.storage.files import sha256_bytes

#: Name of the image in the layout folder.
TAG = "managed-pipelines"

UBI9_MICRO = "docker://registry.access.redhat.com/ubi9/ubi-micro"
#: The folder of Red Hat's program, which reads no files of others.
_APP = "app"
_PROGRAM = Path(__file__).with_name("write-pipelines.sh")

_DIGEST_LENGTH = 12

_LABELS = {
    "org.opencontainers.image.title": "kfp-edge-managed-pipelines",
    "org.opencontainers.image.description": "Pipelines of kfp-edge for the dashboard of OpenShift AI.",
    "org.opencontainers.image.licenses": "Apache-2.0",
    "org.opencontainers.image.version": __version__,
}


def build_managed_pipelines_image(
    output: Path,
    pipelines: Sequence[ManagedPipeline],
    base: str = UBI9,
    *,
    architectures: Sequence[str] = (),
    level: int = SMALLEST,
    progress: Progress = print,
) -> str:
    """Build the image, from the same inputs always the same bytes.

    Args:
        output: Folder of the OCI image layout, replaced as a whole; the image in it is tagged `managed-pipelines`.
        pipelines: What it brings.
        base: `ubi9` for UBI 9 micro, `packages` for this machine's own, or an image with a shell as skopeo names it. If
            that has managed pipelines, as Red Hat's has, they stay.
        architectures: `amd64`, `arm64` or both, which gives an image index; that of this host when empty.
        level: How hard zstd tries, 1 to 19.
        progress: Called with one line for each step.

    Returns:
        The digest of the image's manifest or index, `sha256:...`.

    Raises:
        ImageError: the base cannot be fetched, has no shell, or has a pipeline of the same name.
    """
    platforms = parse_platforms(architectures)
    output = output.absolute()
    with scratch_folder(output.parent) as scratch:
        layout = LayoutWriter(scratch / "layout")
        layers = LayerWriter(layout, level)
        manifests = []
        for platform in platforms:
            progress(f"making the base for {platform.architecture}")
            below = _make_base(base, platform, scratch / f"base-{platform.architecture}")
            of_the_base = read_base_pipelines(below, base)
            if of_the_base is not None:
                progress(f"the base has managed pipelines, which stay: {', '.join(of_the_base.names)}")
            own = _write_files(scratch / f"files-{platform.architecture}", pipelines, of_the_base)
            manifests.append((platform, _add_image(layout, layers, platform, below, of_the_base, own)))
        descriptor = add_index(layout, manifests, _LABELS)
        write_index(layout.folder, descriptor, TAG)
        replace_folder(output, layout.folder, scratch)
    return descriptor["digest"]


def _make_base(name: str, platform: Platform, folder: Path) -> Base:
    if name == PACKAGES:
        folder.mkdir()
        assemble_rootfs(apt_for(platform, folder / "apt"), folder / "rootfs", folder / "packages")
        return DebianBase(folder / "rootfs")
    return fetch_base(UBI9_MICRO if name == UBI9 else name, platform, folder)


def _write_files(folder: Path, pipelines: Sequence[ManagedPipeline], of_the_base: BasePipelines | None) -> Path:
    """Write what is in the folder `/app` of the image, and return our own folder in it.

    That is named after its content, so that an image of ours can be the base of another one.
    """
    own = folder / f"kfp-edge-{sha256_bytes(repr(pipelines).encode())[:_DIGEST_LENGTH]}"
    (own / "pipelines").mkdir(parents=True)
    shutil.copyfile(_PROGRAM, own / _PROGRAM.name)
    entries = list(of_the_base.entries) if of_the_base else []
    if of_the_base is not None:
        (own / "base.json").write_bytes(of_the_base.text)
    for pipeline in pipelines:
        # Red Hat's program copies the file that is named here, relative to /app
        path = f"{own.name}/pipelines/{pipeline.name}.yaml"
        entry = {"name": pipeline.name, "description": pipeline.description, "path": path}
        (folder / path).write_text(pipeline.text)
        (own / "pipelines" / f"{pipeline.name}.json").write_text(f"{json.dumps(entry)}\n")
        entries.append(entry)
    check_unique([entry["name"] for entry in entries])
    (folder / Path(MANIFEST_PATH).name).write_text(f"{json.dumps(entries, indent=2)}\n")
    return own


def _add_image(
    layout: LayoutWriter,
    layers: LayerWriter,
    platform: Platform,
    base: Base,
    of_the_base: BasePipelines | None,
    own: Path,
) -> Descriptor:
    below = base.add_layers(layout, layers)
    layer = layers.add_trees((own.parent, _APP))
    run: ImageConfig = {"Entrypoint": ["/bin/sh", f"/{_APP}/{own.name}/{_PROGRAM.name}"]}
    if of_the_base is None:
        # Kubernetes starts an init container that must not be root only if its user is a number
        run |= {"User": "1001:0", "WorkingDir": "/"}
    else:
        run |= {"Cmd": list(of_the_base.command)}
    program = ImageProgram("kfp-edge-managed-pipelines", run, _LABELS)
    config = make_configuration(program, base.get_configuration(), platform, below, [(layer, "the pipelines")])
    return add_manifest(layout, config, [*below, layer], _LABELS)
