"""Putting an image together: its configuration, its manifest, an index of several platforms, and its layout folder."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kfp_edge.images.oci.documents import Descriptor, ImageConfig, ImageManifest
from kfp_edge.images.oci.layer_writer import Layer
from kfp_edge.images.oci.layout import LayoutWriter
from kfp_edge.images.oci.media_types import CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE, ZSTD_ANNOTATIONS
from kfp_edge.images.platforms import Platform

_CREATED = "1970-01-01T00:00:00Z"
#: What a base's configuration says of how the base starts.
_NOT_INHERITED = ("Cmd", "Shell", "OnBuild")

#: Called with one line for each step of a build.
Progress = Callable[[str], None]


@dataclass(frozen=True)
class ImageProgram:
    """What an image runs, and its labels.

    Attributes:
        name: The name of the program in the image's history.
        run: Fields of the configuration (OCI Image Specification, "OCI Image Configuration", `config`).
        labels: Labels of the image, which are annotations of its manifest, too.
        environment: Variables that are added to those of the base.
    """

    name: str
    run: ImageConfig
    labels: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)


def make_configuration(
    program: ImageProgram,
    base: ImageConfig,
    platform: Platform,
    below: Sequence[Layer],
    added: Sequence[tuple[Layer, str]],
) -> ImageConfig:
    """Return the configuration of an image.

    Args:
        program: What the image runs.
        base: Configuration of the base.
        platform: The processor it is for.
        below: The layers of the base.
        added: The layers on it, and what each holds.
    """
    inherited = {key: value for key, value in base.get("config", {}).items() if key not in _NOT_INHERITED}
    variables = dict(line.split("=", 1) for line in inherited.get("Env") or []) | program.environment
    own: ImageConfig = {
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": (inherited.get("Labels") or {}) | program.labels,
    }
    history = base.get("history") or [{"created": _CREATED, "created_by": "the base"} for _ in below]
    return {
        **platform.fields,
        "created": _CREATED,
        "config": {**inherited, **program.run, **own},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in [*below, *(layer for layer, _ in added)]]},
        "history": [*history, *({"created": _CREATED, "created_by": f"{program.name}: {what}"} for _, what in added)],
    }


def add_manifest(
    layout: LayoutWriter, config: ImageConfig, layers: Sequence[Layer], labels: Mapping[str, str]
) -> Descriptor:
    """Add configuration and manifest of an image for one platform, whose layers are in the layout."""
    manifest: ImageManifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": layout.add_json(config, CONFIG_TYPE),
        "layers": [layer.descriptor for layer in layers],
        "annotations": dict(labels),
    }
    return layout.add_json(manifest, MANIFEST_TYPE)


def add_index(
    layout: LayoutWriter, manifests: Sequence[tuple[Platform, Descriptor]], labels: Mapping[str, str]
) -> Descriptor:
    """Return the image itself when it is for one platform, else an index that is added for several."""
    if len(manifests) == 1:
        return manifests[0][1]
    entries: list[Descriptor] = [
        {**descriptor, "platform": platform.fields, "annotations": ZSTD_ANNOTATIONS}
        for platform, descriptor in manifests
    ]
    index: ImageManifest = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": entries,
        "annotations": dict(labels),
    }
    return layout.add_json(index, INDEX_TYPE)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent`, which is made when it is not there; it is removed with the block."""
    # beside the output, as /tmp may be a small one in memory
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".building-") as folder:
        yield Path(folder)


def replace_folder(output: Path, layout: Path, scratch: Path) -> None:
    """Give a finished layout the name of the output; what had it before is left in the scratch folder."""
    if output.is_dir():
        output.rename(scratch / "replaced")
    layout.rename(output)
