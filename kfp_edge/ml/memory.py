"""Memory that was freed goes back to the operating system, where a container's limit counts it."""

import ctypes

import pyarrow as pa


def return_freed_memory() -> None:
    """Return what Arrow's allocator and, with glibc, `malloc` keep for later (mallopt(3), malloc_trim(3)).

    Both keep what was freed; the next step of a stage needs arrays of other sizes, so they would add up.
    """
    pa.default_memory_pool().release_unused()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
