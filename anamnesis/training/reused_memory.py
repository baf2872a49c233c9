"""Large tensors of a step take the memory that those of the step before left.

Without this, glibc returns large blocks to the system as soon as they are free, and the system fills every page with
zeros when the next step touches it.
"""

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Parameters of ``mallopt``, from glibc's malloc.h."""
_REUSED = {_TRIM_THRESHOLD: -1, _MMAP_MAX: 0}
"""Free memory is never returned, and no block is mapped apart."""
_RETURNED = {_TRIM_THRESHOLD: 64 << 20, _MMAP_THRESHOLD: 32 << 20, _MMAP_MAX: 65536}
"""The largest thresholds that glibc chooses by itself, and its default number of mapped blocks."""


@contextmanager
def reused_memory() -> Iterator[None]:
    """Keeps freed memory in the process, and returns it at the end; does nothing where the C library is not glibc.

    The peak of the process's memory grows by a few percent, because blocks of different sizes share the space.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        yield
        return
    _set_parameters(library, _REUSED)
    try:
        yield
    finally:
        _set_parameters(library, _RETURNED)
        library.malloc_trim(0)


def _set_parameters(library: ctypes.CDLL, values: Mapping[int, int]) -> None:
    for parameter, value in values.items():
        library.mallopt(parameter, value)
