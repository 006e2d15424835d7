"""ZIP archives: skops files are such, and an ONNX model with its weights in other files is often kept in one."""

import zipfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import onnx

from kfp_edge.components.fetch_model.other_formats import explain_format
from kfp_edge.errors import ModelError
from kfp_edge.ml.onnx_model import read_proto
from kfp_edge.onnx_graph.external_data import MAX_BYTES, include_weights, list_locations
from kfp_edge.onnx_graph.normalization import normalize


def list_members(path: Path) -> list[str]:
    """Return the names of the files in a ZIP archive, each of which is complete.

    Raises:
        ModelError: it was cut short or altered.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            names = archive.namelist()
    except (zipfile.BadZipFile, EOFError) as error:
        raise ModelError(f"the model {path} is damaged, perhaps cut short; copy it again.") from error
    except (NotImplementedError, RuntimeError) as error:  # another compression, or encrypted
        raise ModelError(
            f"the archive {path} cannot be read ({error}); unpack it, and name the model in it."
        ) from error
    if damaged is not None:
        raise ModelError(f"the model {path} was altered ({damaged} in it is damaged); copy it again.")
    return names


def read_archive(path: Path) -> bytes:
    """Return the only ONNX model in a ZIP archive, with the weights that other files of the archive have.

    Raises:
        ModelError: there is none, or several; its weights are not there; or all is too large for one file.
    """
    names = [name for name in list_members(path) if PurePosixPath(name).suffix.lower() == ".onnx"]
    if not names and (explanation := explain_format(path)):
        raise ModelError(explanation)
    if len(names) != 1:
        content = f"several models ({', '.join(sorted(names))})" if names else "neither an ONNX model nor one of skops"
        raise ModelError(f"the ZIP archive {path} contains {content}; name the file of one model.")
    with TemporaryDirectory() as scratch, zipfile.ZipFile(path) as archive:
        model = _extract(archive, names[0], Path(scratch))
        proto = read_proto(model)
        folder = PurePosixPath(names[0]).parent
        for location in list_locations(proto):
            member = (folder / location).as_posix()
            if member in archive.namelist():
                _extract(archive, member, Path(scratch))
        try:
            include_weights(proto, model.parent)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
    data = proto.SerializeToString(deterministic=True)
    check_graph(proto, path)
    return data


def _extract(archive: zipfile.ZipFile, name: str, folder: Path) -> Path:
    """Extract one file below a folder, wherever its name leads, and return its path."""
    if archive.getinfo(name).file_size > MAX_BYTES:
        raise ModelError(
            f"{name} in the archive {archive.filename} is larger than the 2 GB that an ONNX file can hold."
        )
    return Path(archive.extract(name, folder))


def check_graph(proto: onnx.ModelProto, path: Path) -> None:
    """Refuse a model whose graph is not valid, or that the server cannot run; the model is changed.

    Args:
        proto: The model, with all its weights.
        path: Its file, for messages.

    Raises:
        ModelError: with what to change.
    """
    try:
        normalize(proto)
    except ModelError as error:
        raise ModelError(str(error).replace("the model", f"the model {path}", 1)) from error
