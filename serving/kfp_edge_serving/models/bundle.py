"""Reading of bundles: folders with a verified model, its signature and recorded requests with their responses."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import orjson

from kfp_edge_serving.errors import StartError
from kfp_edge_serving.features.definition import FeatureDefinition, parse_definition
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.models.model_folders import MANIFEST, MODEL, list_files
from kfp_edge_serving.models.reference import OutputReference, ValueReference, parse_features, parse_outputs

#: What a signature may say of an output beside its classes.
_DETAILS = ("threshold", "positive", "quantile", "units")
_REQUIRED_FILES = (MODEL, "signature.json", "samples.json")
#: The batch dimension of a tensor that has none.
_NO_BATCH = "none"
#: The files of a bundle but its manifest; any other file that the manifest lists holds weights of the model.
CONTRACT_FILES = (*_REQUIRED_FILES, "reference.json", "features.json", "model_card.md")


@dataclass(frozen=True)
class ColumnSpec:
    """One feature: its smallest and largest value in training, or its categories, if either is known.

    `reference` says how its values were distributed in training. A missing value of a `required` column is refused. A
    `boolean` column takes true and false for 1 and 0.
    """

    name: str
    range: tuple[float, float] | None = None
    categories: frozenset[str] | None = None
    reference: ValueReference = field(default_factory=ValueReference)
    required: bool = False
    boolean: bool = False


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of the model; -1 in `shape` is any size.

    `batch_dimension` is the dimension of `shape` that is the rows, each of which is answered by itself; None if there
    is none, as for a graph of nodes and edges or a signal. `columns[j]` describes element `[i, j]` of an input;
    `classes` are those that an output can predict, and where it has a number for each of them, element `[i, j]` is that
    of `classes[j]`. `details` has what else the signature says of an output in a number or a text, such as the
    threshold of a score.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[ColumnSpec, ...] = ()
    classes: tuple[str, ...] = ()
    details: Mapping[str, str | float] = field(default_factory=dict, hash=False)
    batch_dimension: int | None = None

    @cached_property
    def parameters(self) -> dict[str, str | float]:
        """What the protocol has no field for, as its parameters; they are no lists, so that names are JSON text."""
        lists = {"columns": [column.name for column in self.columns], "classes": self.classes}
        texts = {name: json.dumps(names, ensure_ascii=False) for name, names in lists.items() if names}
        batch = _NO_BATCH if self.batch_dimension is None else self.batch_dimension
        return {**texts, **self.details, "batch_dimension": batch}

    @cached_property
    def has_number_of_each_class(self) -> bool:
        """Whether element `[i, j]` is the number of `classes[j]`, as a probability is."""
        return len(self.shape) == 2 and len(self.classes) > 0 and self.shape[1] == len(self.classes)

    @cached_property
    def class_parameters(self) -> dict[str, str]:
        """The parameters of this output in a response: the names of its columns; empty where they have none."""
        return {"classes": json.dumps(self.classes, ensure_ascii=False)} if self.has_number_of_each_class else {}

    @cached_property
    def required(self) -> tuple[bool, ...]:
        """Whether each column is required; empty if none is."""
        flags = tuple(column.required for column in self.columns)
        return flags if any(flags) else ()


@dataclass(frozen=True)
class RecordedInference:
    """One recorded request, and by name the output tensors of the verified model for it."""

    request: JsonObject
    outputs: dict[str, JsonObject]


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle whose files all match its manifest; `digest` is the SHA-256 of the manifest, in hexadecimal.

    Of a model without a bundle (`is_verified` is false), `model` is the path of its file and `digest` the SHA-256 of
    that, and there are no samples. `features` says which features are computed from the rows before, None if a row has
    all of them. `weights` are the files of the model's external data by the path that the model names. `unused_files`
    are in the folder, and belong to neither. `task` is what the model learned, empty without a bundle, and `reference`
    what it answered for held-out rows.
    """

    name: str
    version: str
    digest: str
    model: bytes | Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    samples: tuple[RecordedInference, ...]
    tolerance: float
    features: FeatureDefinition | None = None
    weights: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    is_verified: bool = True
    unused_files: tuple[str, ...] = ()
    task: str = ""
    reference: OutputReference = field(default_factory=OutputReference)

    @property
    def digest_field(self) -> str:
        """What `digest` is the hash of, as a label or a field of the log."""
        return "bundle_sha256" if self.is_verified else "model_sha256"


def load_bundle(folder: Path, check_name: bool = True) -> LoadedBundle:
    """Read a bundle and check the hash of every file that its manifest lists.

    Args:
        folder: The folder.
        check_name: Whether the folder must be named `<name>/<version>` after its bundle.

    Raises:
        StartError: a file is missing, was altered, or does not follow the contract.
        OSError: the folder cannot be read.
    """
    manifest_bytes = _read(folder / MANIFEST)
    with _contract_of(folder / MANIFEST):
        manifest = orjson.loads(manifest_bytes)
        name, version = manifest["name"], manifest["version"]
        hashes = {path: entry["sha256"] for path, entry in manifest["files"].items()}
    files = _read_verified(folder, hashes)
    with _contract_of(folder / "reference.json"):
        reference = orjson.loads(files.get("reference.json", b'{"features": {}}'))
        columns, answers = parse_features(reference), parse_outputs(reference)
    with _contract_of(folder / "signature.json"):
        signature = orjson.loads(files["signature.json"])
        rows = _find_rows_of_table(signature)
        inputs = tuple(_parse_tensor(tensor, columns, rows) for tensor in signature["inputs"])
        outputs = tuple(_parse_tensor(tensor, {}, rows) for tensor in signature["outputs"])
    with _contract_of(folder / "samples.json"):
        samples = orjson.loads(files["samples.json"])
        inferences = tuple(_parse_sample(sample) for sample in samples["samples"])
        tolerance = float(samples["tolerance"])
    with _contract_of(folder / "features.json"):
        features = _parse_features(files.get("features.json"), inputs)
    bundle = LoadedBundle(
        name=name,
        version=version,
        digest=hashlib.sha256(manifest_bytes).hexdigest(),
        model=files[MODEL],
        inputs=inputs,
        outputs=outputs,
        samples=inferences,
        tolerance=tolerance,
        features=features,
        weights={path: content for path, content in files.items() if path not in CONTRACT_FILES},
        unused_files=_list_unused(folder, {MANIFEST, *files}),
        task=str(signature.get("task", "")),
        reference=answers,
    )
    if not bundle.samples:
        raise StartError(f"{folder} holds no recorded request for the self-test.")
    if check_name and (bundle.name, bundle.version) != (folder.parent.name, folder.name):
        raise StartError(f"{folder} holds {bundle.name} {bundle.version}; the folders must be named after it.")
    return bundle


@contextmanager
def _contract_of(path: Path) -> Iterator[None]:
    """Name the file in the error if it does not hold what a bundle has there."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StartError(f"{path} does not follow the bundle contract: {_describe(error)}.") from error


def _describe(error: Exception) -> str:
    """Return what is wrong with a document, given the error of reading it."""
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    if isinstance(error, orjson.JSONDecodeError):
        return f"it is not JSON: {error}"
    return str(error) if isinstance(error, ValueError) else f"a value has another type ({error})"


def _list_unused(folder: Path, used: set[str]) -> tuple[str, ...]:
    """Return what is in a folder beside some files; a link to a folder with one of them is not."""
    folders = {str(parent) for name in used for parent in PurePosixPath(name).parents}
    return tuple(name for name in list_files(folder) if name not in used | folders)


def _read_verified(folder: Path, hashes: Mapping[str, str]) -> dict[str, bytes]:
    missing = [name for name in _REQUIRED_FILES if name not in hashes]
    if missing:
        raise StartError(f"the manifest of {folder} does not list {missing[0]}.")
    files = {}
    for name, expected in hashes.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise StartError(f"the manifest of {folder} lists {name!r}, which is not in the folder of the bundle.")
        files[name] = _read(folder / name)
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise StartError(f"{folder / name} was altered: its sha256 is not the one in the manifest.")
    return files


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}.") from error


def _parse_features(content: bytes | None, inputs: tuple[TensorSpec, ...]) -> FeatureDefinition | None:
    """Return the definition of computed features; a bundle without them has no such file."""
    if content is None:
        return None
    columns = {column.name for tensor in inputs for column in tensor.columns}
    return parse_definition(orjson.loads(content), columns)


def _find_rows_of_table(signature: JsonObject) -> int | None:
    """Return the first size of the inputs where every one of them is a table with named columns, else None.

    Signatures of earlier versions do not state their batch dimension: their inputs are tables.
    """
    inputs = signature["inputs"]
    return inputs[0]["shape"][0] if all(tensor.get("columns") and tensor["shape"] for tensor in inputs) else None


def _parse_batch_dimension(tensor: JsonObject, rows_of_table: int | None) -> int | None:
    """Return the batch dimension that a signature states; if it states none, the first one of a table."""
    shape = tensor["shape"]
    stated = tensor.get("batch_dimension")
    if stated is None:
        return 0 if rows_of_table is not None and shape[:1] == [rows_of_table] else None
    if stated == _NO_BATCH:
        return None
    if type(stated) is not int or not 0 <= stated < len(shape):
        raise ValueError(f"batch_dimension of '{tensor['name']}' is {stated!r}, not a dimension of its shape {shape}")
    return stated


def _parse_tensor(tensor: JsonObject, features: Mapping[str, ValueReference], rows_of_table: int | None) -> TensorSpec:
    return TensorSpec(
        name=tensor["name"],
        datatype=tensor["datatype"],
        shape=tuple(tensor["shape"]),
        columns=tuple(
            _parse_column(column, features.get(column["name"], ValueReference()))
            for column in tensor.get("columns", [])
        ),
        classes=tuple(tensor.get("classes") or ()),
        details={name: tensor[name] for name in _DETAILS if name in tensor},
        batch_dimension=_parse_batch_dimension(tensor, rows_of_table),
    )


def _parse_column(column: JsonObject, reference: ValueReference) -> ColumnSpec:
    low_high = column.get("range")
    categories = column.get("categories")
    return ColumnSpec(
        name=column["name"],
        range=None if low_high is None else (float(low_high[0]), float(low_high[1])),
        categories=None if categories is None else frozenset(categories),
        reference=reference,
        required=column.get("required") is True,
        boolean=column.get("boolean") is True,
    )


def _parse_sample(sample: JsonObject) -> RecordedInference:
    outputs = sample["response"]["outputs"]
    for output in outputs:
        if not (isinstance(output["data"], list) and isinstance(output["shape"], list)):
            raise TypeError("the shape and the data of a recorded response must be lists")
    return RecordedInference(sample["request"], {output["name"]: output for output in outputs})
