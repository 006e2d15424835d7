"""Reading a bundle: the folder in which a verified model, its signature and its recorded answers lie."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kfp_edge_serving.errors import StartError

_MANIFEST = "manifest.json"
_NEEDED = ("model.onnx", "signature.json", "samples.json")


@dataclass(frozen=True)
class ColumnSpec:
    """One feature: the smallest and largest value of training, or the categories that it may take, if either is known.

    `edges` bound the bins in which training counted its values; empty when it did not.
    """

    name: str
    range: tuple[float, float] | None = None
    categories: frozenset[str] | None = None
    edges: tuple[float, ...] = ()


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of the model; -1 in `shape` is any number of rows.

    `columns[j]` is what element `[i, j]` of an input means; `classes` are those that an output chooses from.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[ColumnSpec, ...] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecordedInference:
    """One recorded request, and by name the output tensors that the verified model answered it with."""

    request: dict[str, Any]
    outputs: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle whose every byte is what the manifest says; `digest` names them all (SHA-256, hex)."""

    name: str
    version: str
    digest: str
    model: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    samples: tuple[RecordedInference, ...]
    tolerance: float


def find_bundles(models: Path) -> list[Path]:
    """Return the bundle folders `models/<name>/<version>/`, sorted; or `models` itself where it is a bundle.

    Raises:
        StartError: the folder cannot be read.
    """
    try:
        if (models / _MANIFEST).is_file():
            return [models]
        return sorted(path.parent for path in models.glob(f"*/*/{_MANIFEST}"))
    except OSError as error:
        raise StartError(f"cannot read {models}: {error.strerror}.") from error


def state(folder: Path) -> tuple[object, ...]:
    """Return what differs when a file of a bundle was replaced or written to, without reading any."""
    found = []
    for path in sorted(folder.iterdir()):
        status = path.stat()
        found.append((path.name, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def load_bundle(folder: Path, named: bool = True) -> LoadedBundle:
    """Read a bundle and check the hash of every file that its manifest lists.

    Args:
        named: Whether the folder has to be called `<name>/<version>` as its bundle is.

    Raises:
        StartError: a file is missing, was altered, or does not follow the contract.
    """
    manifest_bytes = _read(folder / _MANIFEST)
    try:
        manifest = orjson.loads(manifest_bytes)
        files = _verified(folder, manifest["files"])
        signature = orjson.loads(files["signature.json"])
        samples = orjson.loads(files["samples.json"])
        features = orjson.loads(files["reference.json"])["features"] if "reference.json" in files else {}
        bundle = LoadedBundle(
            name=manifest["name"],
            version=manifest["version"],
            digest=hashlib.sha256(manifest_bytes).hexdigest(),
            model=files["model.onnx"],
            inputs=tuple(_tensor(tensor, features) for tensor in signature["inputs"]),
            outputs=tuple(_tensor(tensor, {}) for tensor in signature["outputs"]),
            samples=tuple(_sample(sample) for sample in samples["samples"]),
            tolerance=float(samples["tolerance"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StartError(f"{folder} does not follow the bundle contract: {error!r}.") from error
    if not bundle.samples:
        raise StartError(f"{folder} holds no recorded request to test itself with.")
    if named and (bundle.name, bundle.version) != (folder.parent.name, folder.name):
        raise StartError(f"{folder} holds {bundle.name} {bundle.version}; the folders must be named after it.")
    return bundle


def _verified(folder: Path, entries: dict[str, Any]) -> dict[str, bytes]:
    missing = [name for name in _NEEDED if name not in entries]
    if missing:
        raise StartError(f"the manifest of {folder} does not list {missing[0]}.")
    files = {}
    for name, entry in entries.items():
        files[name] = _read(folder / name)
        if hashlib.sha256(files[name]).hexdigest() != entry["sha256"]:
            raise StartError(f"{folder / name} was altered: its sha256 is not the one in the manifest.")
    return files


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}.") from error


def _tensor(tensor: dict[str, Any], features: dict[str, Any]) -> TensorSpec:
    return TensorSpec(
        name=tensor["name"],
        datatype=tensor["datatype"],
        shape=tuple(tensor["shape"]),
        columns=tuple(_column(column, features.get(column["name"], {})) for column in tensor.get("columns", [])),
        classes=tuple(tensor.get("classes") or ()),
    )


def _column(column: dict[str, Any], feature: dict[str, Any]) -> ColumnSpec:
    low_high = column.get("range")
    categories = column.get("categories")
    return ColumnSpec(
        name=column["name"],
        range=None if low_high is None else (float(low_high[0]), float(low_high[1])),
        categories=None if categories is None else frozenset(categories),
        edges=tuple(float(edge) for edge in feature.get("edges", ())),
    )


def _sample(sample: dict[str, Any]) -> RecordedInference:
    outputs = sample["response"]["outputs"]
    for output in outputs:
        if not (isinstance(output["data"], list) and isinstance(output["shape"], list)):
            raise TypeError("the shape and the data of a recorded answer are lists")
    return RecordedInference(sample["request"], {output["name"]: output for output in outputs})
