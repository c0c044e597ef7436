"""How a service's process takes memory and gives it back. Called once by each service's `__main__`, before it serves.

Records come and go by the hundred thousand each second. With the defaults of Python and of the C library the service
would spend a good part of its time on looking for garbage that is not there, and on returning pages to the kernel
that it asks for again a millisecond later.
"""

import ctypes
import gc

_YOUNG = 50_000
"""New containers, less those that are gone, before the young ones are looked through for cycles. Python's own 700 are
a few hundred records; records are in no cycle."""
_MIDDLE, _OLD = 20, 50
"""Rounds before the next older generation, with every open connection, is looked through as well."""

_MIB = 1024 * 1024

# Numbers and meaning: mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_MALLOC_OPTIONS = (
    # Free memory at the heap's end is kept up to this size, and taken in steps of this size.
    (_M_TRIM_THRESHOLD, 64 * _MIB),
    (_M_TOP_PAD, _MIB),
    # Frames for many sockets are megabytes long: below this size they come from the heap, where the pages are.
    (_M_MMAP_THRESHOLD, 32 * _MIB),
    # What one thread frees the others can use. They take turns anyway: Python has one lock for all.
    (_M_ARENA_MAX, 2),
)


def tune() -> None:
    """Sets collector and allocator for a process that streams; what exists already is left out of collections."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # the GNU C library's
        for option, value in _MALLOC_OPTIONS:
            mallopt(option, value)
