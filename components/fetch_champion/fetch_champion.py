"""Fetch the bundle of the model that a ring runs now, and find a version for the next one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from kfp_edge.errors import ModelError
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.promotion.image_facts import VERSION_LABEL, locate_image
from kfp_edge.fleet.releases.ring_images import read_ring_image, select_ring
from kfp_edge.git.remote import GitRemote
from kfp_edge.git.repository import open_repository
from kfp_edge.gitops.images import Image
from kfp_edge.gitops.target import FileTarget
from kfp_edge.gitops.tree import Commit, Tree
from kfp_edge.images.oci.image_files import read_files
from kfp_edge.images.oci.references import ImageRef, ImageRegistry, ImageRepository
from kfp_edge.images.registry import copy_to_layout, find_digest, read_labels, read_manifest, select_platform
from kfp_edge.ml.bundle import MANIFEST, Bundle, Manifest
from kfp_edge.ml.model_names import check_name
from kfp_edge.storage.files import canonical_json, new_folder

_LAST_NUMBER = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>\D*)")
_FLEET = "fleet.yaml"


@dataclass(frozen=True)
class Place:
    """Where a GitOps repository says which image is in use; the component describes the parameters."""

    repository: str
    branch: str
    ring: str
    target: Mapping[str, object]


@dataclass(frozen=True)
class Result:
    """The outputs of the component, and what the user should know."""

    next_version: str
    version: str = ""
    digest: str = ""
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _InUse:
    where: str
    image: Image


def fetch_champion(model: str, place: Place, registry: str, first_version: str, folder: Path) -> Result:
    """Write the bundle of the model in use to `folder`, or a note that there is none yet.

    Args:
        model: The name of the model.
        place: Where the repository names its image.
        registry: Where images are released.
        first_version: The version of the new model where none is in use.
        folder: Where the bundle goes.

    Raises:
        ParameterError: there is no such ring, or a parameter is not valid.
        GitError: the repository cannot be read.
        ImageError: the registry does not have the image, or refuses.
        ModelError: the image has no bundle of the model, or an altered one.
        StorageError: the file system refuses.
    """
    check_name(model)
    in_use = _find_image(model, place)
    if in_use is None:
        return _report_none(model, registry, first_version, folder)
    is_local = in_use.image.new_name.startswith("localhost/")
    reference = select_platform(locate_image(in_use.image, registry if is_local else ""))
    version = read_labels(reference).get(VERSION_LABEL, "")
    with new_folder(folder) as temporary:
        manifest = _read_bundle(reference, model, version, temporary / "bundle")
        if manifest.name != model or version not in ("", manifest.version):
            name = f"{model} {version}".rstrip()
            raise ModelError(
                f"{in_use.where} runs {reference} as {name}, and its bundle is {manifest.name} {manifest.version}; "
                f"release {model} to it again."
            )
        version = manifest.version
        image = f"{in_use.image.new_name}@{in_use.image.digest}"
        facts = {"model": model, "version": version, "where": in_use.where, "image": image}
        (temporary / "champion.json").write_bytes(canonical_json(facts))
    print(f"in use in {in_use.where}: {model} {version} ({in_use.image.digest})", flush=True)
    return Result(find_free_version(model, increase(version), registry), version, in_use.image.digest)


def find_free_version(model: str, version: str, registry: str) -> str:
    """Return the version, its last number increased until the registry has no image of it.

    Raises:
        ImageError: the registry refuses or cannot be reached.
    """
    if registry:
        repository = ImageRegistry.parse(registry).releases(model)
        while find_digest(repository, version) is not None:
            version = increase(version)
    return version


def increase(version: str) -> str:
    """Return a version with its last number increased: `1.4.0` becomes `1.4.1`, `2026-11` becomes `2026-12`."""
    match = _LAST_NUMBER.fullmatch(version)
    if match is None:
        return f"{version}.1"
    number = str(int(match["number"]) + 1).zfill(len(match["number"]))
    return f"{match['before']}{number}{match['after']}"


def _report_none(model: str, registry: str, first_version: str, folder: Path) -> Result:
    with new_folder(folder) as temporary:
        (temporary / "champion.json").write_bytes(canonical_json({"model": model, "version": ""}))
    warning = f"{model} is not in use yet, so there is no model to compare the new one with"
    print(warning, flush=True)
    return Result(find_free_version(model, first_version, registry), warnings=[warning])


def _find_image(model: str, place: Place) -> _InUse | None:
    target = FileTarget.parse(place.target) if place.target else None
    with open_repository(GitRemote.parse(place.repository)) as git:
        head = git.head(place.branch)
        if head is None:
            return None
        tree = Commit(git, head)
        return _find_at(target, tree, model) if target else _find_in_ring(tree, model, place.ring)


def _find_at(target: FileTarget, tree: Tree, model: str) -> _InUse | None:
    data = tree.read(target.file)
    if data is None:
        return None
    name, digest = target.read(data.decode(errors="replace"))
    return _InUse(target.file, Image(model, name or f"localhost/{model}", digest))


def _find_in_ring(tree: Tree, model: str, ring: str) -> _InUse | None:
    if tree.read(_FLEET) is None:
        return None
    name = select_ring(read_fleet(tree), ring)
    image = read_ring_image(tree, name, model)
    return None if image is None else _InUse(f"the ring {name}", image)


def _read_bundle(reference: ImageRef, model: str, version: str, folder: Path) -> Manifest:
    """Write the bundle of an image to a folder, check the hash of every file, and return its manifest."""
    with TemporaryDirectory() as scratch:
        layout = ImageRepository("oci", f"{scratch}/image")
        layers = read_manifest(copy_to_layout(reference, layout, "champion"))["layers"]
        of_image, of_modelcar = f"models/{model}/{version}", "models"
        manifests = read_files(Path(layout.path), layers, [f"{of_image}/{MANIFEST}", f"{of_modelcar}/{MANIFEST}"])
        prefix = of_image if f"{of_image}/{MANIFEST}" in manifests else of_modelcar
        data = manifests.get(f"{prefix}/{MANIFEST}", b"")
        names = _list_files(data, reference, f"{model} {version}".rstrip())
        contents = read_files(Path(layout.path), layers, [f"{prefix}/{name}" for name in names])
    for name, content in {MANIFEST: data, **{name: contents.get(f"{prefix}/{name}", b"") for name in names}}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Bundle.load(folder).manifest


def _list_files(manifest: bytes, reference: ImageRef, model: str) -> list[str]:
    try:
        return list(Manifest.model_validate_json(manifest).files)
    except ValueError as error:
        raise ModelError(
            f"{reference} has no bundle of {model}; it was not built by containerize, so that the new model cannot be "
            "compared with it."
        ) from error
