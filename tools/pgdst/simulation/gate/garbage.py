"""Python's garbage collector: it may close a connection in any thread that allocates memory."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Turn the garbage collector off in this block: the moment of a collection does not depend on the seed alone.

    While no thread relays, a collected connection would also wait for ever for the answer to its last message.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
