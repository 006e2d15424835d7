"""The server's Python dependencies, pinned by hash and without the parts that a server never loads."""

from pathlib import Path

from kfp_edge.images.platforms import Platform
from kfp_edge.images.tools.pip import install_pinned, remove_paths

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

_UNUSED = (
    "bin",
    # a second copy of what onnxruntime_pybind11_state carries inside; nothing links it
    "onnxruntime/capi/libonnxruntime.so*",
    "onnxruntime/transformers",
    "onnxruntime/tools",
    "onnxruntime/quantization",
    "onnxruntime/datasets",
    "onnxruntime/backend",
    "numpy/distutils",
    "numpy/f2py",
    "numpy/typing",
    "numpy/_pyinstaller",
    "numpy/random",
    "numpy/fft",
    "numpy/testing",
    "numpy/polynomial",
    "numpy/ma",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/_core/*_tests*.so",
    "numpy/_core/_simd.*.so",
    # the roots of a client; a server has its own
    "grpc/_cython/_credentials",
    "grpc/beta",
    "grpc/framework/interfaces",
    "google/protobuf/compiler",
    "uvloop/loop.c",
    "uvloop/_testbase.py",
    "**/tests",
    "**/__pycache__",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.pxi",
    "**/*.c",
    "**/*.h",
    "**/py.typed",
    "*.dist-info/[!MLl]*",
)


def install_dependencies(target: Path, python: str, platform: Platform) -> None:
    """Install the dependencies into the folder `target` for an interpreter and a processor that need not be ours.

    Args:
        target: A folder that does not exist yet.
        python: Version of the interpreter, such as `3.11`.
        platform: The processor.

    Raises:
        ImageError: a wheel cannot be fetched, or its hash is not the pinned one.
    """
    install_pinned(REQUIREMENTS, target, python, platform, "--only-binary=:all:")
    remove_paths(target, _UNUSED)
