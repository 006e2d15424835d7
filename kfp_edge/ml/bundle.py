"""The bundle: the contract between the stages, the image and the edge (`docs/bundle.md`).

A bundle is a folder of six files, of seven where features are computed from the rows before. Its bytes depend only on
the model and what it was made from: the same model gives the same bundle, and the same bundle gives the same image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from kfp_edge.errors import ModelError
from kfp_edge.ml.model_names import NAME, VERSION
from kfp_edge.storage.files import JsonObject, canonical_json, new_folder, read_json, sha256_bytes, sha256_file

#: What a model learns; `kfp_edge.tasks` has a package for each.
TaskName = Literal["classification", "anomaly", "regression"]
TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)

#: Datatypes of the Open Inference Protocol v2 that a model here may use ("Tensor Data Types").
Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]  # fmt: skip

MANIFEST = "manifest.json"
#: The files of every bundle but the manifest, which lists their hashes.
CONTENTS = ("model.onnx", "signature.json", "samples.json", "reference.json", "model_card.md")
#: The file of a bundle whose features are computed from the rows before.
FEATURES = "features.json"


class _Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


ContractT = TypeVar("ContractT", bound=BaseModel)


class Column(_Contract):
    """One feature under its name in the data, with the values that it had in training."""

    name: str
    units: str | None = None
    #: Smallest and largest value in the training data, in `units`.
    range: tuple[float, float] | None = None
    #: The values a categorical feature may take; any other is refused.
    categories: tuple[str, ...] | None = None
    #: A missing value is refused: the model does not know one here, or answers otherwise than its original.
    required: bool = False
    #: Only 0 and 1 in training: JSON's `true` and `false` are taken as 1 and 0.
    boolean: bool = False


class _Tensor(_Contract):
    name: str
    datatype: Datatype
    #: -1 is any size.
    shape: tuple[int, ...]
    #: Which dimension is the rows, each of which is answered by itself; "none" for a graph, a signal and the like.
    batch_dimension: Annotated[int, Field(ge=0)] | Literal["none"] = 0

    @model_validator(mode="after")
    def _check_batch_dimension(self) -> Self:
        if self.batch_dimension != "none" and self.batch_dimension >= len(self.shape):
            raise ValueError(f"batch_dimension {self.batch_dimension} is not a dimension of the shape {self.shape}")
        return self


class InputTensor(_Tensor):
    """One input tensor; element `[i, j]` is the value of `columns[j]` in row `i`."""

    columns: tuple[Column, ...]


class ThresholdChoice(_Contract):
    """How the threshold of a classifier was chosen."""

    #: What was asked for, such as `{"missed_cost": 2000, "false_alarm_cost": 200}`.
    asked: dict[str, float]
    #: The rows it was chosen on, in words; empty where it was given.
    origin: str = ""
    #: Metrics at the threshold on those rows.
    expected: dict[str, float] = {}


class OutputTensor(_Tensor):
    """One output tensor; of `score`, a value above `threshold` raises the alarm.

    Of `probabilities`, element `[i, j]` is that of `classes[j]`. With a `threshold` the label of a row is `positive`
    where the probability of that class is above it, else the other class; without one it is the most probable class.
    """

    classes: tuple[str, ...] | None = None
    threshold: float | None = None
    positive: str | None = None
    choice: ThresholdChoice | None = None
    #: The share of the true values that should lie below a predicted quantile.
    quantile: float | None = None
    #: Of a predicted number: its units, and the range and standard deviation of the target in training, in `units`.
    units: str | None = None
    range: tuple[float, float] | None = None
    deviation: float | None = None

    @property
    def has_number_of_each_class(self) -> bool:
        """Whether element `[i, j]` is the number of `classes[j]`."""
        return bool(self.classes) and len(self.shape) == 2 and self.shape[1] == len(self.classes or ())


class Signature(_Contract):
    """`signature.json`: the inputs and outputs of the model, in its own order."""

    task: TaskName
    inputs: tuple[InputTensor, ...] = Field(min_length=1)
    outputs: tuple[OutputTensor, ...] = Field(min_length=1)


class Sample(_Contract):
    """One recorded inference: request and response body of the Open Inference Protocol v2 REST API."""

    request: JsonObject
    response: JsonObject


class Samples(_Contract):
    """`samples.json`: held-out rows with the outputs of the verified model.

    An output matches when integers and strings are equal and floats differ by at most `tolerance`.
    """

    tolerance: float = Field(ge=0)
    samples: tuple[Sample, ...] = Field(min_length=1)


class Histogram(_Contract):
    """Training values of one feature: `counts[i]` lie in `[edges[i], edges[i+1])`, the last bin closed."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int = 0


class Frequencies(_Contract):
    """Training values of one categorical feature, each with its number of rows."""

    counts: dict[str, int]
    missing: int = 0


class OutputReference(_Contract):
    """Answers of the verified model for held-out rows that the server takes; of a detector for the normal ones."""

    rows: int
    #: `prediction` of a number, `score` of a detector, `probability` of the class `positive` where there are two.
    values: dict[str, Histogram] = {}
    #: How often each class was predicted; None where the answer is a number.
    classes: dict[str, int] | None = None
    positive: str | None = None


class Reference(_Contract):
    """`reference.json`: statistics of the training data and of the model's answers, with which drift is measured."""

    rows: int
    features: dict[str, Histogram | Frequencies]
    #: None in a bundle of an earlier version, and where no held-out row could be answered.
    outputs: OutputReference | None = None


class WindowFeature(_Contract):
    """One computed feature: a statistic of the last `rows` values of the column `source`.

    `diff` is the last value minus the mean; `std` has one degree of freedom less than values. Missing values are
    skipped.
    """

    #: A column of the signature.
    name: str
    source: str
    statistic: Literal["mean", "std", "min", "max", "diff"]
    rows: int = Field(ge=2)


class Features(_Contract):
    """`features.json`: which features the server computes from the rows that clients send, and how."""

    #: Column of a row with its time; not a feature.
    time_column: str
    time_kind: Literal["number", "timestamp"]
    #: No two rows of a group share a time, so that a row of the same time is the same row again.
    has_unique_times: bool = True
    #: Column of a row that names its machine, site, run or batch, whose rows alone the windows are of.
    group_column: str | None = None
    windows: tuple[WindowFeature, ...] = Field(min_length=1)


class FileEntry(_Contract):
    """Hash and size of one file."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(_Contract):
    """`manifest.json`: identity and origin of the model, and the hash of every other file."""

    format: Literal[1] = 1
    name: str = Field(pattern=f"^{NAME}$")
    version: str = Field(pattern=f"^{VERSION}$")
    task: TaskName
    opset: int
    data_sha256: str
    #: Commit of the code that trained the model; empty when it is not known.
    revision: str = ""
    metrics: dict[str, float] = {}
    #: Lower and upper end of the 95 % intervals of some of the metrics.
    intervals: dict[str, tuple[float, float]] = {}
    #: The class that the metrics of two classes describe, one of the signature's classes.
    positive: str | None = None
    #: What was changed, assumed or could not be checked in a model that was trained elsewhere, each in one sentence.
    notes: tuple[str, ...] = ()
    tools: dict[str, str] = {}
    #: Those of the contract, and those with weights of the model (ONNX external data).
    files: dict[str, FileEntry]

    @field_validator("files")
    @classmethod
    def _check_paths(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"{name!r} is not in the folder of the bundle")
        return files


@dataclass(frozen=True)
class ModelIdentity:
    """Name and version of a model, and the commit of the code that trained it (empty when it is not known)."""

    name: str
    version: str
    revision: str = ""


@dataclass(frozen=True)
class ModelInfo:
    """What is known about a model apart from its files; the fields are those of `Manifest`."""

    identity: ModelIdentity
    task: TaskName
    opset: int
    data_sha256: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    positive: str | None = None
    notes: Sequence[str] = ()
    tools: Mapping[str, str] = field(default_factory=dict)


class Bundle:
    """A bundle on disk, read lazily. `Bundle.load` checks every hash, so an instance is complete and unaltered."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def load(cls, folder: Path) -> "Bundle":
        """Open a bundle and check the hash of every file.

        Raises:
            ModelError: a file is missing, was altered, or does not follow the contract.
            StorageError: the manifest cannot be read.
        """
        manifest = _read(folder / MANIFEST, Manifest)
        for name in sorted({*CONTENTS, *manifest.files}):
            entry = manifest.files.get(name)
            if entry is None or not (folder / name).is_file():
                raise ModelError(f"the bundle {folder} lacks {name}; build it again with the verify stage.")
            if sha256_file(folder / name) != entry.sha256:
                raise ModelError(
                    f"{folder / name} was altered after it was verified (its sha256 is not the manifest's); "
                    "build the bundle again with the verify stage."
                )
        return cls(folder, manifest)

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, 64 hex digits: it names every byte of the bundle."""
        return sha256_file(self.folder / MANIFEST)

    @property
    def model(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def signature(self) -> Signature:
        return _read(self.folder / "signature.json", Signature)

    @property
    def samples(self) -> Samples:
        return _read(self.folder / "samples.json", Samples)

    @property
    def reference(self) -> Reference:
        return _read(self.folder / "reference.json", Reference)

    @property
    def features(self) -> Features | None:
        """How features are computed from the rows before; None where a row has all of them."""
        return _read(self.folder / FEATURES, Features) if FEATURES in self.manifest.files else None

    @property
    def files(self) -> list[str]:
        """The names of all files, sorted; a name may have folders."""
        return sorted((MANIFEST, *self.manifest.files))


def write_bundle(
    folder: Path,
    *,
    model: bytes,
    signature: Signature,
    samples: Samples,
    reference: Reference,
    model_card: str,
    info: ModelInfo,
    features: Features | None = None,
    check: Callable[[Path], None] | None = None,
) -> Bundle:
    """Write a bundle completely or not at all.

    Args:
        folder: Where the bundle goes; what is there is replaced.
        model: The bytes of the ONNX file.
        signature: Inputs and outputs of the model.
        samples: Recorded inferences.
        reference: Statistics of the training data and of the model's answers.
        model_card: The model card, as Markdown.
        info: The fields of the manifest apart from the hashes of the files.
        features: How features are computed from the rows before, if any are.
        check: Called with the complete folder before it takes its place; nothing is written if it raises.

    Raises:
        ModelError: a field violates the contract.
        StorageError: the file system refuses.
    """
    contents = {
        "model.onnx": model,
        "signature.json": _to_json(signature),
        "samples.json": _to_json(samples),
        "reference.json": _to_json(reference),
        "model_card.md": model_card.encode(),
    }
    if features is not None:
        contents[FEATURES] = _to_json(features)
    files = {name: FileEntry(sha256=sha256_bytes(data), bytes=len(data)) for name, data in contents.items()}
    try:
        manifest = Manifest(
            name=info.identity.name,
            version=info.identity.version,
            task=info.task,
            opset=info.opset,
            data_sha256=info.data_sha256,
            revision=info.identity.revision,
            metrics=dict(info.metrics),
            intervals=dict(info.intervals),
            positive=info.positive,
            notes=tuple(info.notes),
            tools=dict(info.tools),
            files=files,
        )
    except ValidationError as error:
        raise ModelError(f"the bundle cannot be written: {_first_error(error)}") from error
    with new_folder(folder) as temporary:
        for name, data in contents.items():
            (temporary / name).write_bytes(data)
        (temporary / MANIFEST).write_bytes(_to_json(manifest))
        if check is not None:
            check(temporary)
    return Bundle(folder, manifest)


def _to_json(contract: BaseModel) -> bytes:
    return canonical_json(contract.model_dump(mode="json", exclude_none=True))


def _read(path: Path, contract: type[ContractT]) -> ContractT:
    try:
        return contract.model_validate(read_json(path))
    except ValidationError as error:
        raise ModelError(f"{path} does not follow the bundle contract: {_first_error(error)}") from error


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']} (got {first.get('input')!r})."
