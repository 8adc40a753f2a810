"""Signals of a terminal or a service manager, ignored or held back during a block."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

INTERRUPTIONS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore interruptions during the block."""
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold interruptions back until the block has ended: a daemon does what it was asked, whoever still waits."""
    arrived: list[int] = []
    try:
        with _handled(lambda number, _: arrived.append(number)):
            yield
    finally:
        if arrived:  # the first one ends the program, by the handler that is in place again
            signal.raise_signal(arrived[0])


@contextmanager
def _handled(handler: Any) -> Iterator[None]:
    """Handle interruptions so during the block; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in INTERRUPTIONS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
