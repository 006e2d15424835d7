"""Fetch a model that was trained elsewhere, and check that it is complete and runs no code when it is loaded."""

from pathlib import Path
from tempfile import TemporaryDirectory

from kfp_edge.components.fetch_model.archives import check_graph, list_members, read_archive
from kfp_edge.components.fetch_model.other_formats import explain_format
from kfp_edge.components.fetch_model.parameters import EXAMPLES, find_example, parse_sha256
from kfp_edge.components.fetch_model.weight_files import fetch_weight_files
from kfp_edge.errors import ModelError
from kfp_edge.ml.onnx_model import read_proto
from kfp_edge.ml.skops_model import load_model
from kfp_edge.onnx_graph.external_data import include_weights, list_locations
from kfp_edge.storage.fetch import fetch
from kfp_edge.storage.files import sha256_bytes, write_file
from kfp_edge.storage.urls import redacted_url

_SUFFIXES = (".onnx", ".skops")
_PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib")
#: The opcode PROTO of pickle protocols 2 to 5; older pickles are recognized by their suffix.
_PICKLE_PREFIXES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def fetch_model(model: str, sha256: str, target: Path, examples: Path = EXAMPLES) -> str:
    """Copy a saved model to `target`, and return its format: "onnx" or "skops".

    The file is unchanged, unless it is an ONNX model with weights in other files, or in a ZIP archive: then the ONNX
    file is written, with all its weights.

    Args:
        model: A file, a ZIP archive or a folder with one model in it, s3://, https://, or `example:NAME`.
        sha256: The expected SHA-256 of the file, 64 hex digits; "" when it is not known.
        target: The file to write.
        examples: The folder of the models that `example:` names.

    Raises:
        ModelError: there is no model, it has another hash, it is damaged, or it is a pickle.
        ParameterError: `sha256` is not a SHA-256, or there is no such example.
        StorageError: the file cannot be fetched.
    """
    expected = parse_sha256(sha256)
    with TemporaryDirectory() as scratch:
        source = find_example(model, examples) or fetch(model, Path(scratch))
        try:
            path = _find_only_model(source) if source.is_dir() else source
            data = path.read_bytes()
            _check_hash(path, sha256_bytes(data), expected)
            model_format = _detect_format(path, data)
            if model_format == "archive":
                data, model_format = read_archive(path), "onnx"
            elif model_format == "onnx":
                data = _read_onnx(path, model) or data
        except ModelError as error:
            # the user knows the URI, not the path of the temporary copy
            raise ModelError(str(error).replace(str(source), redacted_url(model).rstrip("/"))) from error
    write_file(target, data)
    print(
        f"fetched {redacted_url(model)}: {model_format}, {len(data):,} bytes, sha256 {sha256_bytes(data)}", flush=True
    )
    return model_format


def _check_hash(path: Path, actual: str, expected: str) -> None:
    if expected and actual != expected:
        raise ModelError(f"the sha256 of the model {path} is {actual}, not {expected}; check the address or the hash.")


def _find_only_model(folder: Path) -> Path:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES)
    if len(files) == 1:
        return files[0]
    if files:
        names = ", ".join(file.relative_to(folder).as_posix() for file in files)
        raise ModelError(f"{folder} contains several models ({names}); name one of them.")
    for file in folder.rglob("*"):
        if file.suffix.lower() in _PICKLE_SUFFIXES:
            raise _pickle_error(file)
    raise ModelError(f"{folder} contains no .onnx or .skops file; check the address.")


def _detect_format(path: Path, data: bytes) -> str:
    """Return the format of a file by its content, `onnx`, `skops` or `archive`, and check that a ZIP is complete."""
    if not data:
        raise ModelError(f"the model {path} is empty; copy it again.")
    if path.suffix.lower() in _PICKLE_SUFFIXES or data[:2] in _PICKLE_PREFIXES:
        raise _pickle_error(path)
    if data.startswith(b"PK\x03\x04"):
        if "schema.json" not in list_members(path):
            return "archive"
        load_model(path)
        return "skops"
    return "onnx"


def _read_onnx(path: Path, uri: str) -> bytes | None:
    """Check an ONNX model; return the file with the weights that were in other files, None if there were none."""
    try:
        proto = read_proto(path)
    except ModelError as error:
        raise ModelError(explain_format(path) or str(error)) from error
    locations = list_locations(proto)
    if locations:
        fetch_weight_files(uri, path, locations)
        include_weights(proto, path.parent)
    complete = proto.SerializeToString(deterministic=True) if locations else None
    check_graph(proto, path)
    return complete


def _pickle_error(path: Path) -> ModelError:
    return ModelError(f"the model {path} is a pickle, and a pickle can execute code; save it with skops or as ONNX.")
