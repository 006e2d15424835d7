"""Saving and loading scikit-learn models with skops: loading a pickle can run code, loading a skops file cannot."""

import io
import json
import re
import warnings
import zipfile
import zlib
from pathlib import Path

import sklearn
import skops.io
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted
from skops.io.exceptions import UntrustedTypesFoundException

from kfp_edge.errors import ModelError
from kfp_edge.ml.compiled_parts import find_unsound_part
from kfp_edge.ml.known_differences import explain_estimator, explain_types
from kfp_edge.ml.older_models import check_version, complete_older_parts
from kfp_edge.ml.skops_schema import (
    Node,
    find_sklearn_version,
    list_types,
    rename_moved_types,
    take_best_estimators,
)
from kfp_edge.ml.trusted_types import TRUSTED_TYPES
from kfp_edge.storage.files import write_file

#: What reading a file that is damaged, altered or no skops file raises.
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    EOFError,
    OSError,
    RecursionError,
    NotImplementedError,
)

_EPOCH = (1980, 1, 1, 0, 0, 0)
_OBJECT_ID = re.compile(r'(?<="__id__": )\d+|(?<=")\d+(?=\.np[yz]")')


def save_model(model: BaseEstimator, path: Path) -> None:
    """Save a fitted scikit-learn estimator; the same estimator always gives the same bytes.

    Raises:
        StorageError: the file system refuses.
    """
    write_file(path, _make_reproducible(skops.io.dumps(model)))


def load_model(path: Path) -> BaseEstimator:
    """Load an estimator that `save_model` or skops wrote; of a search, such as GridSearchCV, its best estimator.

    Types that moved between versions of scikit-learn are renamed in the file's schema before anything is loaded. Only
    types that skops or `TRUSTED_TYPES` names are loaded, and those that compiled code follows are checked.

    Raises:
        ModelError: the file is damaged, is no skops file, holds no fitted estimator, contains a type that is not
            trusted, or was saved with a version of scikit-learn whose models this one computes otherwise.
    """
    try:
        members = _read_members(path)
        schema: Node = json.loads(members["schema.json"])
        version = find_sklearn_version(schema)
        rename_moved_types(schema)
        is_complete = take_best_estimators(schema)
    except FileNotFoundError as error:
        raise ModelError(f"there is no model at {path}.") from error
    except _DAMAGES as error:
        raise _damage_error(path, error) from error
    if not is_complete:
        raise ModelError(f"the search {path} has no best estimator; fit it with refit=True, or save the model in it.")
    check_version(path, version, list_types(schema))
    model = _load(path, {**members, "schema.json": json.dumps(schema).encode()}, version)
    _check_fitted(model, path)
    complete_older_parts(model)
    part = find_unsound_part(model)
    if part is not None:
        if difference := explain_estimator(part):
            raise ModelError(f"the model {path} is not taken: {difference}.")
        raise ModelError(
            f"the model {path} was altered: a {type(part).__name__} in it points outside itself; save it again."
        )
    return model


def _check_fitted(model: object, path: Path) -> None:
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise ModelError(
            f"the {type(model).__name__} in {path} was saved before it was fitted; fit it, and save it again."
        ) from error
    except TypeError as error:
        raise ModelError(
            f"the model {path} holds a {type(model).__name__}, which is no estimator of scikit-learn; save the fitted "
            "estimator or Pipeline itself."
        ) from error


def describe_versions(path: Path) -> str:
    """Return which scikit-learn saved a model, and which is here; "" where it is the same or not stated.

    An error in computing with the model adds it to its message.
    """
    version = read_sklearn_version(path)
    return _compare_versions(version) if version not in ("", sklearn.__version__) else ""


def read_sklearn_version(path: Path) -> str:
    """Return the version of scikit-learn that saved a model; "" where the file does not state one."""
    try:
        return find_sklearn_version(json.loads(_read_members(path)["schema.json"]))
    except _DAMAGES:
        return ""


def _compare_versions(version: str) -> str:
    saved = f"scikit-learn {version}" if version else "an unknown version of scikit-learn"
    return f"it was saved with {saved}, and {sklearn.__version__} is here"


def _read_members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _load(path: Path, members: dict[str, bytes], version: str) -> BaseEstimator:
    """Load a model from the members of its file."""
    data = _zip(members)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)  # versions are checked above
            return skops.io.loads(data, trusted=sorted(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - TRUSTED_TYPES)
        raise _untrusted_error(path, unknown, list_types(json.loads(members["schema.json"])), version) from error
    except _DAMAGES as error:
        versions = "" if version == sklearn.__version__ else _compare_versions(version)
        raise _damage_error(path, error, versions) from error


def _untrusted_error(path: Path, unknown: list[str], types: set[str], version: str) -> ModelError:
    """Return the error for types that are not trusted, with the reason where there is a known one."""
    reason = explain_types(types)
    if reason:
        return ModelError(f"the model {path} is not taken: {reason}.")
    names = ", ".join(unknown)
    if all(name.startswith("sklearn.") for name in unknown):
        versions = "" if version == sklearn.__version__ else f"{_compare_versions(version)}; "
        return ModelError(
            f"the model {path} was not loaded, because it contains types that are not trusted: {names}; "
            f"{versions}use another estimator, or export it to ONNX where it was trained."
        )
    return ModelError(
        f"the model {path} was not loaded, because it contains types that are not trusted: {names}; "
        "use scikit-learn's own estimators, or export it to ONNX where it was trained."
    )


def _damage_error(path: Path, error: Exception, versions: str = "") -> ModelError:
    reason = (str(error).strip().splitlines() or [""])[0]
    return ModelError(
        f"the model {path} is damaged or was not saved with skops ({type(error).__name__}: {reason}"
        f"{'; ' if versions else ''}{versions}); save it again."
    )


def _make_reproducible(saved: bytes) -> bytes:
    """Replace the memory addresses and times that skops writes with counters and a fixed date."""
    source = zipfile.ZipFile(io.BytesIO(saved))
    counters: dict[str, str] = {}

    def replace_id(match: re.Match[str]) -> str:
        return counters.setdefault(match[0], str(len(counters) + 1))

    schema = _OBJECT_ID.sub(replace_id, source.read("schema.json").decode())
    members = {"schema.json": schema.encode()}
    for name in source.namelist():
        stem, _, suffix = name.partition(".")
        if name != "schema.json":
            members[f"{counters.get(stem, stem)}.{suffix}"] = source.read(name)
    return _zip(members)


def _zip(members: dict[str, bytes]) -> bytes:
    """Return a ZIP archive; the same members give the same bytes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(members.items()):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return target.getvalue()
