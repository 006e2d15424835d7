"""Compressing layers: with zstd by the package `zstandard`, which gives the same bytes on every host, or with gzip."""

import gzip
import os
import shutil
from pathlib import Path
from typing import BinaryIO

import zstandard

#: The smallest output within the window of 8 MiB that every reader of zstd takes.
SMALLEST = 19
#: A tenth larger, in a tenth of the time.
FAST = 12
#: Names the bytes that a level gives.
ZSTD_VERSION = zstandard.__version__

#: The bytes do not depend on how many there are, as long as there is one; a layer gives work to four at most.
_THREADS = min(os.cpu_count() or 1, 4)


def compress(source: BinaryIO, target: Path, size: int, level: int) -> None:
    """Compress a stream of `size` bytes in one thread; the output has no checksum."""
    _write(source, target, size, zstandard.ZstdCompressor(level=level))


def compress_in_threads(source: BinaryIO, target: Path, size: int, level: int) -> None:
    """Compress a stream of `size` bytes in several threads; the output has a checksum."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=size, threads=_THREADS, write_checksum=True
    )
    _write(source, target, size, zstandard.ZstdCompressor(compression_params=parameters))


def compress_with_gzip(source: BinaryIO, target: Path) -> None:
    """Compress a stream; the bytes are those of zlib, and those of another library in its place differ."""
    with target.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as sink:
        shutil.copyfileobj(source, sink)


def _write(source: BinaryIO, target: Path, size: int, compressor: zstandard.ZstdCompressor) -> None:
    # piece by piece, so that Ctrl-C is noticed in between
    with target.open("wb") as sink, compressor.stream_writer(sink, size=size) as stream:
        shutil.copyfileobj(source, stream)
