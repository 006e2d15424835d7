"""Bring a model that was trained elsewhere, and make sure that it is whole and runs no code when loaded."""

import re
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from onnx.external_data_helper import uses_external_data

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.onnx_model import parse
from kfp_edge.ml.skops_files import load_model
from kfp_edge.storage.fetch import fetch
from kfp_edge.storage.files import sha256_bytes, write_file
from kfp_edge.storage.urls import redacted_url

EXAMPLES = Path(__file__).with_name("example")

_SCHEME = "example:"
_SUFFIXES = (".onnx", ".skops")
_PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib")
#: The opcode PROTO, with the protocols that have it; older pickles are told by their suffix.
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_SHA256 = re.compile("[0-9a-f]{64}")


def fetch_model(model: str, sha256: str, target: Path, examples: Path = EXAMPLES) -> str:
    """Copy a saved model to `target` as it is, and return its format: "onnx" or "skops".

    Args:
        model: A file, a folder with one model in it, s3://, https://, or `example:NAME`.
        sha256: What the file's SHA-256 must be, 64 hex digits; "" when it is not known.
        target: The file to write.
        examples: The folder of the models that `example:` names.

    Raises:
        KfpEdgeError: there is no model, it is not the one that was meant, it is damaged, or it is a pickle.
    """
    wanted = sha256.strip().lower()
    if wanted and not _SHA256.fullmatch(wanted):
        raise KfpEdgeError("the parameter sha256 must be 64 hex digits.")
    with TemporaryDirectory() as scratch:
        is_example = model.startswith(_SCHEME)
        place = _example(model.removeprefix(_SCHEME), examples) if is_example else fetch(model, Path(scratch))
        try:
            path = _only_model(place) if place.is_dir() else place
            data = path.read_bytes()
            _check_hash(path, sha256_bytes(data), wanted)
            kind = _format(path, data)
        except KfpEdgeError as error:
            # The user knows the address, not the copy of this run.
            raise KfpEdgeError(str(error).replace(str(place), redacted_url(model).rstrip("/"))) from error
    write_file(target, data)
    print(f"fetched {redacted_url(model)}: {kind}, {len(data):,} bytes, sha256 {sha256_bytes(data)}", flush=True)
    return kind


def _check_hash(path: Path, actual: str, wanted: str) -> None:
    if wanted and actual != wanted:
        raise KfpEdgeError(f"the model {path} is not the one that was meant: its sha256 is {actual}, not {wanted}.")


def _only_model(folder: Path) -> Path:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES)
    if len(files) == 1:
        return files[0]
    if files:
        names = ", ".join(file.relative_to(folder).as_posix() for file in files)
        raise KfpEdgeError(f"{folder} holds several models ({names}); name one of them.")
    for file in folder.rglob("*"):
        if file.suffix.lower() in _PICKLE_SUFFIXES:
            raise _pickle_refusal(file)
    raise KfpEdgeError(f"{folder} holds no .onnx or .skops file; check the address.")


def _example(name: str, examples: Path) -> Path:
    known = {file.stem: file for file in sorted(examples.glob("*.onnx"))}
    if name not in known:
        raise KfpEdgeError(f"there is no example model {name!r}; there is {', '.join(known) or 'none'}.")
    return known[name]


def _format(path: Path, data: bytes) -> str:
    """Return the format that a file's content has, and check that it is whole."""
    if not data:
        raise KfpEdgeError(f"the model {path} is empty; copy it again.")
    if path.suffix.lower() in _PICKLE_SUFFIXES or data[:2] in _PICKLE_STARTS:
        raise _pickle_refusal(path)
    if data.startswith(b"PK\x03\x04"):
        _check_archive(path)
        load_model(path)
        return "skops"
    proto = parse(path)
    if any(uses_external_data(tensor) for tensor in proto.graph.initializer):
        raise KfpEdgeError(f"the model {path} keeps its weights in another file; save it as one file.")
    return "onnx"


def _pickle_refusal(path: Path) -> KfpEdgeError:
    return KfpEdgeError(f"the model {path} is a pickle, and a pickle can execute code; save it with skops or as ONNX.")


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            is_skops = "schema.json" in archive.namelist()
    except (zipfile.BadZipFile, EOFError) as error:
        raise KfpEdgeError(f"the model {path} is damaged, perhaps cut short; copy it again.") from error
    if damaged is not None:
        raise KfpEdgeError(f"the model {path} was altered ({damaged} in it is damaged); copy it again.")
    if not is_skops:
        raise KfpEdgeError(f"{path} is an archive and no skops model; save the model with skops or as ONNX.")
