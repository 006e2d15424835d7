"""The server's Python dependencies, pinned by hash and without the parts that a server never loads."""

import shutil
import sys
from pathlib import Path

from kfp_edge.images.command import run

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

#: Newest first; pip takes the first that a wheel was built for, and else one in pure Python, which is slow.
_PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")

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
    # the roots of a client; a server is given its own
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


def install(target: Path, python: str, machine: str) -> None:
    """Install the dependencies into the folder `target` for an interpreter and a processor that need not be ours.

    Args:
        target: A folder that does not exist yet.
        python: Version of the interpreter, such as `3.11`.
        machine: Processor as the wheels name it, such as `x86_64`.

    Raises:
        ImageError: a wheel cannot be fetched, or its hash is not the pinned one.
    """
    platforms = [f"--platform={name}_{machine}" for name in _PLATFORMS]
    run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
            "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp", f"--python-version={python}",
            *platforms, f"--target={target}", f"--requirement={REQUIREMENTS}",
        ]
    )  # fmt: skip
    for pattern in _UNUSED:
        for path in sorted(target.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
