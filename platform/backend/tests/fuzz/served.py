"""Serve an application over HTTP in a process of its own, for as long as its standard input is open.

So it ends with the process that started it, however that ends, and without a signal.

Use: python -m fuzz.served MODULE:FACTORY DESCRIPTOR, the number of an inherited socket that is bound.
"""

import os
import socket
import sys
from datetime import datetime, timedelta
from threading import Thread
from typing import Final

import uvicorn
from deepsci.database import make_engine
from deepsci.main import create_app
from fastapi import FastAPI
from pgdst import SeededIds, SimulatedClock

# So long that a context token expires within a run, and so short that it does not at once.
TICK: Final = timedelta(milliseconds=200)


class TickingClock(SimulatedClock):
    """A clock that goes on by one tick whenever somebody looks, so that time passes, the same in every run."""

    def now(self) -> datetime:
        """Return the simulated instant, later than all before."""
        self.advance(TICK)
        return super().now()


def deep_sci_fi() -> FastAPI:
    """Return Deep Sci-Fi with ids, secrets and times that are the same in every run."""
    engine = make_engine(os.environ["DATABASE_URL"])
    return create_app(engine, TickingClock(), SeededIds(int(os.environ["PGDST_SEED"])))


def main(factory: str, descriptor: int) -> None:
    """Serve until the standard input ends."""
    server = uvicorn.Server(uvicorn.Config(factory, factory=True, log_level="warning", access_log=False))
    Thread(target=_stop_at_the_end_of_input, args=[server], daemon=True).start()
    server.run(sockets=[socket.socket(fileno=descriptor)])


def _stop_at_the_end_of_input(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
