"""Models without a bundle: an ONNX file, as it lies in the model repositories of Triton and OpenVINO.

Nobody has verified such a model: there is no hash, no recorded request, no range and no name of a column. Its signature
is what the file itself says.
"""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from kfp_edge_serving.errors import StartError
from kfp_edge_serving.models.bundle import CONTRACT_FILES, LoadedBundle, TensorSpec
from kfp_edge_serving.models.model_folders import MANIFEST, MODEL, ModelFolder, find_onnx_files, list_files
from kfp_edge_serving.models.onnx_session import Node, OnnxSession, find_datatype


def read_plain_model(folder: ModelFolder) -> LoadedBundle:
    """Return the model of an ONNX file or of a folder without a manifest.

    `inputs` and `outputs` are added once it is loaded.

    Raises:
        StartError: there is none, there are several, or it is a part of a bundle.
        OSError: a file cannot be read.
    """
    model = _find_model(folder.path)
    content = model.read_bytes()
    # the name of a file with weights is in the model
    others = [] if model == folder.path else [name for name in list_files(folder.path) if name != model.name]
    return LoadedBundle(
        name=folder.name,
        version=folder.version,
        digest=hashlib.sha256(content).hexdigest(),
        # where links lead, as KServe makes them for a volume: onnxruntime takes weights from the folder of this path
        model=_follow_links(model),
        inputs=(),
        outputs=(),
        samples=(),
        tolerance=0.0,
        is_verified=False,
        unused_files=tuple(name for name in others if os.fsencode(name) not in content),
    )


def complete_signature(model: LoadedBundle, session: OnnxSession) -> LoadedBundle:
    """Return a model without a bundle with the inputs and outputs that its file names.

    A dimension is the batch only where the file says so: the first one of every input and output has the same name, and
    this name is `N` or has `batch` in it. Without a name, rows look like nodes of a graph or samples of a signal.

    Raises:
        StartError: one of them has a datatype that the protocol does not have.
    """
    nodes = [*session.inputs, *session.outputs]
    first_sizes = {node.shape[0] if node.shape else None for node in nodes}
    is_batch = len(first_sizes) == 1 and all(isinstance(size, str) and _is_batch(size) for size in first_sizes)
    dimension = 0 if is_batch else None
    return replace(
        model,
        inputs=tuple(_describe(node, "input", model, dimension) for node in session.inputs),
        outputs=tuple(_describe(node, "output", model, dimension) for node in session.outputs),
    )


def _describe(node: Node, kind: str, model: LoadedBundle, batch_dimension: int | None) -> TensorSpec:
    datatype = find_datatype(node)
    if datatype is None:
        raise StartError(
            f"{kind} '{node.name}' of model {model.name} {model.version} is {node.type}, a datatype that the Open "
            "Inference Protocol does not have."
        )
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return TensorSpec(node.name, datatype, shape, batch_dimension=batch_dimension)


def _is_batch(name: str) -> bool:
    return name == "N" or "batch" in name.lower()


def _find_model(folder: Path) -> Path:
    if folder.is_file():
        if (folder.parent / MANIFEST).exists():
            raise StartError(f"{folder} is a part of a bundle; serve the whole bundle: --models {folder.parent}.")
        return folder
    files = find_onnx_files(folder)
    if part := next((name for name in CONTRACT_FILES if name != MODEL and (folder / name).exists()), None):
        raise StartError(f"{folder} holds {part} and no {MANIFEST}: the bundle is incomplete; copy all of it.")
    if not files:
        raise StartError(f"{folder} holds neither {MANIFEST} nor an ONNX file.")
    if len(files) > 1 and MODEL not in files:
        raise StartError(f"{folder} holds several ONNX files ({', '.join(files)}); call the one to serve {MODEL}.")
    return folder / (MODEL if MODEL in files else files[0])


def _follow_links(path: Path) -> Path:
    """Return where links lead; the path itself where that is in the file system of another process.

    The link of a modelcar leads through `/proc/PID/root`, of which `resolve` gives a path of ours.
    """
    resolved = path.resolve()
    return resolved if resolved.exists() and resolved.samefile(path) else path
