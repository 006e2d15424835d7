"""A real Triton: the server that the package nvidia-pytriton carries, with its Python backend, started directly."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from environments import HERE, python_of
from served_bundle import NAME, ServedBundle, Tensor

_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_TYPES = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64"}


def prepare(served: ServedBundle, http_port: int, grpc_port: int, folder: Path) -> list[str | Path]:
    """Write a model repository into a folder, and return the command that serves it."""
    environment = python_of("triton").parents[1]
    packages = environment / "lib" / _PYTHON / "site-packages"
    program = _complete(packages / "pytriton" / "tritonserver")
    _write_model(served, folder / "models" / NAME)
    # the backend's process needs Python's packages, and it finds Python by the path
    variables = [f"PYTHONPATH={packages}", f"PATH={environment / 'bin'}:{os.environ['PATH']}"]
    options = {
        "model-repository": folder / "models",
        "backend-directory": program.parents[1] / "backends",
        "http-address": "127.0.0.1",
        "http-port": http_port,
        "grpc-address": "127.0.0.1",
        "grpc-port": grpc_port,
        "allow-metrics": "false",
    }
    return ["env", *variables, program, *(f"--{name}={value}" for name, value in options.items())]


def _complete(folder: Path) -> Path:
    """Give the Python backend the program for this version of Python, as PyTriton does, and return Triton's program."""
    version = _PYTHON.removeprefix("python")
    stub = folder / "python_backend_stubs" / version / "triton_python_backend_stub"
    programs = Path(shutil.copy(stub, folder / "backends" / "python")), folder / "bin" / "tritonserver"
    for program in programs:
        program.chmod(0o755)
    return programs[1]


def _write_model(served: ServedBundle, folder: Path) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").symlink_to(HERE / "peers" / "triton_model.py")
    inputs, outputs = served.tensors()
    (folder / "config.pbtxt").write_text(
        f'backend: "python"\nmax_batch_size: 0\ninput [{_describe(inputs)}]\noutput [{_describe(outputs)}]\n'
        "instance_group [{ kind: KIND_CPU count: 1 }]\n"
        f'parameters {{ key: "onnx_file" value {{ string_value: "{served.onnx_file}" }} }}\n'
    )


def _describe(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f'{{ name: "{one.name}" data_type: {_TYPES[one.type]} dims: {one.shape} }}' for one in tensors)
