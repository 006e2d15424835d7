"""An onnxruntime session for an edge container: few threads, little memory, no telemetry."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kfp_edge_serving.codecs.tensors import DATATYPES, Array
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.models.bundle import TensorSpec

# onnxruntime has telemetry that sends to the outside; it reads this when it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _ort

onnxruntime.disable_telemetry_events()

CPU = "CPUExecutionProvider"

#: A folder that cannot exist.
_NO_FOLDER = "/dev/null/weights"
_UNKNOWN_LOCALE = re.compile(r"Failed to construct locale with name:([^:]*):")
_MISSING_FILE = re.compile(r"External file: (.*) not found from the table")

_ERRORS = (
    _ort.EPFail,
    _ort.Fail,
    _ort.InvalidArgument,
    _ort.InvalidGraph,
    _ort.InvalidProtobuf,
    _ort.NotImplemented,
    _ort.RuntimeException,
)
_DATATYPES_BY_ONNX_TYPE = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


class Node(NamedTuple):
    """An input or output of a model as its file states it: sizes are numbers, names or None."""

    name: str
    type: str
    shape: Sequence[int | str | None]


class OnnxSession:
    """A model that onnxruntime has loaded; safe to run from several threads at once."""

    def __init__(
        self,
        model_name: str,
        model: bytes | Path,
        weights: Mapping[str, bytes],
        providers: Sequence[str],
        threads: int,
    ) -> None:
        """Load a model.

        Args:
            model_name: What errors call it.
            model: The ONNX file: its bytes, or its path where the files of its external data lie beside it.
            weights: With bytes, the files of its external data by the path that the model names; no other is read.
            providers: Execution providers in the order of preference.
            threads: Threads of one inference.

        Raises:
            StartError: onnxruntime cannot load the model or lacks a provider, or an input or output is no tensor.
        """
        self._model_name = model_name
        if unknown := [name for name in providers if name not in onnxruntime.get_available_providers()]:
            known = ", ".join(onnxruntime.get_available_providers())
            raise StartError(f"this onnxruntime has no execution provider {unknown[0]}; it has {known}.")
        options = _options(threads)
        if isinstance(model, bytes):
            _allow_only(weights, options)
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=list(providers))
        except _ERRORS as error:
            raise StartError(f"{model_name} cannot be loaded by onnxruntime: {_explain(error)}") from error
        self.inputs = [Node(node.name, node.type, node.shape) for node in self._session.get_inputs()]
        self.outputs = [Node(node.name, node.type, node.shape) for node in self._session.get_outputs()]
        for node in (*self.inputs, *self.outputs):
            self._check_is_tensor(node)
        #: Whether requests choose sizes of which the model need not take every one, so that a failure may be theirs.
        self.has_open_sizes = False
        # what `InferenceSession.run` calls after it has checked the names again, which takes a tenth of a request
        self._run = self._session._sess.run

    def run(self, names: list[str], feed: dict[str, Array]) -> list[Array]:
        """Compute the outputs `names` from the inputs `feed`.

        Raises:
            RequestError: the model cannot compute with these inputs.
        """
        try:
            arrays: list[Array] = self._run(names, feed, None)
        except _ERRORS as error:
            raise self._cannot_compute(error) from error
        return arrays

    def bind(self, inputs: dict[str, Array], outputs: dict[str, Array]) -> Callable[[], None]:
        """Return a function that computes `outputs` from what is in `inputs` at that time; both must stay in memory.

        The function raises RequestError if the model cannot compute with these inputs.
        """
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        # new options for every call would cost a fifth of it, and `run_with_iobinding` of Python reads an entry of them
        # for 80 us
        options, bound, run = onnxruntime.RunOptions(), binding._iobinding, self._session._sess.run_with_iobinding

        def compute() -> None:
            try:
                run(bound, options)
            except (*_ERRORS, RuntimeError) as error:  # with bound memory, it has no class of error for each status
                raise self._cannot_compute(error) from error

        return compute

    def _cannot_compute(self, error: Exception) -> RequestError:
        # a request that fits the signature is right, and the model at fault
        status = 400 if self.has_open_sizes else 500
        return RequestError(f"the model cannot compute with these inputs: {_first_line(error)}", status)

    def check_signature(self, inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec]) -> None:
        """Check that the inputs and outputs of a signature are those of the model.

        Raises:
            StartError: they are not, or one has a datatype that the protocol does not have.
        """
        for kind, tensors, nodes in (("inputs", inputs, self.inputs), ("outputs", outputs, self.outputs)):
            declared = {tensor.name: tensor.datatype for tensor in tensors}
            actual = {node.name: find_datatype(node) or node.type for node in nodes}
            if declared != actual:
                mismatch = f"{kind} are {actual}, not {declared}"
                raise StartError(f"the signature of {self._model_name} does not match its model: {mismatch}.")
            if unknown := set(declared.values()) - DATATYPES:
                raise StartError(
                    f"{self._model_name} has datatypes that this server does not support: {sorted(unknown)}."
                )

    def _check_is_tensor(self, node: Node) -> None:
        """Refuse what the protocol cannot carry, such as the ZipMap that skl2onnx writes by default."""
        if node.type.startswith("tensor("):
            return
        what = f"'{node.name}' of {self._model_name} is {node.type}"
        if "map(" in node.type:
            raise StartError(
                f"{what}, which a ZipMap makes, and no tensor; export the model without it "
                "(skl2onnx: convert_sklearn(..., options={'zipmap': False})), or make a bundle of it with "
                "`kfp-edge run delivery`, which removes it."
            )
        raise StartError(f"{what}, which is no tensor; the Open Inference Protocol has nothing else.")


def find_datatype(node: Node) -> str | None:
    """Return the datatype of a tensor, None for what the protocol does not have."""
    return _DATATYPES_BY_ONNX_TYPE.get(node.type)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # a thread that spins while it waits eats the CPU quota of a small container
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # not onnxruntime's own format, which this server does not check
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def _allow_only(weights: Mapping[str, bytes], options: onnxruntime.SessionOptions) -> None:
    """Let external data come from these files in memory; onnxruntime reads the working directory otherwise."""
    # with a table of files, it reads no others for the main graph; without a folder, none for the subgraphs either
    files = weights or {"none": b""}
    options.add_external_initializers_from_files_in_memory(
        list(files), list(files.values()), [len(content) for content in files.values()]
    )
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NO_FOLDER)


def _explain(error: Exception) -> str:
    """Return the reason of onnxruntime, in words that name the bundle where it misses external data."""
    reason = _first_line(error)
    if unknown := _UNKNOWN_LOCALE.search(reason):
        return f"it changes the case of text by the locale {unknown[1]}, which is not installed here."
    if missing := _MISSING_FILE.search(reason):
        return f"it has weights in another file, {missing[1]}, which the manifest of the bundle does not list."
    if _NO_FOLDER in reason:
        return "it has weights of a subgraph in another file; save the model as one file."
    return reason


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
