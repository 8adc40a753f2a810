"""Python's garbage collector, which may close a connection, in whatever thread happens to need memory."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect no garbage in this block: when that happens depends on much.

    Where nobody relays, a connection that is collected would wait for ever for an answer to its last words.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
