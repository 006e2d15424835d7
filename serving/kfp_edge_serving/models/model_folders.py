"""The folder of models: which folders in it are models, and what in it is none."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kfp_edge_serving.errors import StartError

MANIFEST = "manifest.json"
MODEL = "model.onnx"

_ONNX_SUFFIX = ".onnx"
#: The version of a model whose place gives it none.
_FIRST_VERSION = "1"
#: A folder of such a name that lies directly in the folder of models is a version, not a model.
_VERSION = re.compile(r"v?\d+(\.\d+)*([-+_.].*)?", re.ASCII | re.IGNORECASE)
_NO_MODEL = "holds neither a model nor a folder for a version of one"
_HIDDEN = "hidden"
_TRITON_CONFIGURATION = "config.pbtxt"


@dataclass(frozen=True)
class ModelFolder:
    """A folder of one version of a model, with the name and version that its place gives a model without a bundle.

    `path` is an ONNX file where the server was given this file and no folder.
    `is_named` says that its place is `<name>/<version>/`, which a bundle there must agree with.
    """

    path: Path
    name: str
    version: str = _FIRST_VERSION
    is_named: bool = False


@dataclass
class FoundModels:
    """The model folders, sorted, and by folder and reason the names of what is in it and is not served."""

    models: list[ModelFolder] = field(default_factory=list)
    ignored: dict[tuple[Path, str], list[str]] = field(default_factory=dict)

    def ignore(self, path: Path, reason: str) -> None:
        """Add what is not served."""
        self.ignored.setdefault((path.parent, reason), []).append(path.name)


def find_models(root: Path) -> FoundModels:
    """Return the models under a folder: `<name>/<version>/`, `<version>/` or `<name>/`, or the folder itself.

    An ONNX file itself is a model too, which is called like the file.

    A folder with a manifest and a model is a bundle. One with either of them is a model too, unless it holds versions
    of models: then the file is ignored. So is every folder at the place of a version: one that holds no model is
    refused later.

    Raises:
        StartError: the folder cannot be read, or it is a file and not one of ONNX.
    """
    try:
        if root.is_file():
            return FoundModels([_model_of_file(root)])
        entries = sorted(root.iterdir())
        if _is_model(entries, levels=2):
            return FoundModels([ModelFolder(root, root.resolve().name)])
    except OSError as error:
        raise StartError(f"cannot read {root}, the folder of models (--models): {error.strerror}.") from error
    models = FoundModels()
    for folder in _select_folders(entries, models, lambda _: "a file beside the folders of models"):
        try:
            _find_versions(folder, root.resolve().name, models)
        except OSError as error:
            models.ignore(folder, f"cannot be read: {error.strerror}")
    return models


def find_onnx_files(folder: Path) -> list[str]:
    """Return the names of the ONNX files directly in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir() if _is_onnx(path))


def list_files(folder: Path) -> list[str]:
    """Return the files in a folder and in those below it, relative and sorted; hidden folders are listed themselves."""
    return [path.relative_to(folder).as_posix() for path in _walk(folder)]


class FileState(NamedTuple):
    """What changes when a file is replaced or written to."""

    name: str
    inode: int
    size: int
    modified: int


FolderState = tuple[FileState, ...]


def folder_state(folder: Path) -> FolderState:
    """Return what differs once a file of a model was replaced or written to, without reading any file."""
    return tuple(_file_state(folder, path) for path in _walk(folder))


def _file_state(folder: Path, path: Path) -> FileState:
    try:
        status = path.stat()
    except FileNotFoundError:  # a link to nothing
        status = path.lstat()
    return FileState(path.relative_to(folder).as_posix(), status.st_ino, status.st_size, status.st_mtime_ns)


def _walk(folder: Path) -> Iterator[Path]:
    """Return the files in a folder and below, or the file itself: what lies beside it is another matter."""
    if folder.is_file():
        yield folder
        return
    for path in sorted(folder.iterdir()):
        # links to folders are not followed: they may lead back
        is_folder = path.is_dir() and not path.is_symlink() and not _is_hidden(path)
        # a folder that nobody may read, such as lost+found of a volume, is no part of a model
        if is_folder and os.access(path, os.R_OK | os.X_OK):
            yield from _walk(path)
        else:
            yield path


def _model_of_file(path: Path) -> ModelFolder:
    if not _is_onnx(path):
        raise StartError(f"{path} is neither a folder nor an ONNX file (*{_ONNX_SUFFIX}); name one with --models.")
    return ModelFolder(path, path.stem)


def _find_versions(folder: Path, root_name: str, models: FoundModels) -> None:
    """Add the model in a folder, or its versions."""
    entries = sorted(folder.iterdir())
    if _is_model(entries, levels=1):
        if _VERSION.fullmatch(folder.name):
            models.models.append(ModelFolder(folder, root_name, folder.name))
        else:
            models.models.append(ModelFolder(folder, folder.name))
        return
    versions = _select_folders(entries, models, _explain_file)
    models.models += [ModelFolder(version, folder.name, version.name, is_named=True) for version in versions]
    if not versions:
        models.ignore(folder, _NO_MODEL)


def _select_folders(paths: Iterable[Path], models: FoundModels, explain_file: Callable[[str], str]) -> list[Path]:
    """Return the folders among some paths; the others are ignored."""
    folders = []
    for path in paths:
        if _is_hidden(path):
            models.ignore(path, _HIDDEN)
        elif not _is_utf8(path):
            models.ignore(path, "its name is not UTF-8")
        elif path.is_dir():
            folders.append(path)
        else:
            models.ignore(path, explain_file(path.name))
    return folders


def _explain_file(name: str) -> str:
    if name == _TRITON_CONFIGURATION:
        return "the configuration of Triton, which this server does not read"
    return "a file beside the folders of versions"


def _is_model(entries: Iterable[Path], levels: int) -> bool:
    """Return whether a folder with these entries is a model; versions may be so many levels below."""
    entries = list(entries)
    names = {path.name for path in entries}
    if names >= {MANIFEST, MODEL}:
        return True
    has_part = MANIFEST in names or any(map(_is_onnx, entries))
    return has_part and not any(_has_version(path, levels) for path in entries)


def _has_version(path: Path, levels: int) -> bool:
    """Return whether a folder is a version of a model, or has one below."""
    entries = [] if _is_hidden(path) or not path.is_dir() else _list_readable(path)
    names = {entry.name for entry in entries}
    if MANIFEST in names or (_VERSION.fullmatch(path.name) and any(map(_is_onnx, entries))):
        return True
    return levels > 1 and any(_has_version(entry, levels - 1) for entry in entries)


def _list_readable(folder: Path) -> list[Path]:
    """Return what is in a folder, nothing if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_onnx(path: Path) -> bool:
    return path.suffix == _ONNX_SUFFIX and not _is_hidden(path)


def _is_utf8(path: Path) -> bool:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")
