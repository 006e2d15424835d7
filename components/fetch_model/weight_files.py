"""The files with weights of an ONNX model that keeps them apart, fetched from beside its own."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlsplit

from kfp_edge.errors import ModelError, StorageError
from kfp_edge.storage.fetch import fetch
from kfp_edge.storage.urls import url_scheme


def fetch_weight_files(uri: str, model: Path, locations: Iterable[str]) -> None:
    """Fetch the files with weights that a downloaded model names, from beside it, to beside it.

    A folder was fetched with all its files, and a path is used in place: then nothing is done.

    Args:
        uri: The address of the model.
        model: The model's file on this machine.
        locations: The names of the files, relative to the model's.

    Raises:
        ModelError: a name leads out of the folder, or the file cannot be fetched.
    """
    for location in locations:
        target = model.parent / _check_inside(location)
        if url_scheme(uri) not in ("s3", "http", "https") or target.exists():
            continue
        with TemporaryDirectory() as scratch:
            try:
                fetched = fetch(_make_address(uri, location), Path(scratch))
            except StorageError as error:
                raise ModelError(
                    f"the weights of the model are in another file, {location}, which cannot be fetched: {error}"
                ) from error
            target.parent.mkdir(parents=True, exist_ok=True)
            fetched.replace(target)


def _check_inside(location: str) -> PurePosixPath:
    path = PurePosixPath(location)
    if not location or path.is_absolute() or ".." in path.parts or "\\" in location:
        raise ModelError(
            f"the model names {location!r} as the file with its weights, which is not in its folder; save the model as "
            "one file."
        )
    return path


def _make_address(uri: str, location: str) -> str:
    if url_scheme(uri) == "s3":
        return f"{uri.rpartition('/')[0]}/{location}"
    parts = urlsplit(uri)
    return parts._replace(path=f"{parts.path.rpartition('/')[0]}/{quote(location)}", query="", fragment="").geturl()
