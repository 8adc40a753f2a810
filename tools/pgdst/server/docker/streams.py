"""Streams of containers: attached ones, and those of executed commands."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
from requests.exceptions import ReadTimeout

from pgdst.server.deadline import Deadline

HEADER_BYTES = 8  # of a frame of a multiplexed stream: its source, three zeros, the length


@contextmanager
def opened(stream: Any) -> Iterator[socket.socket]:
    """Yield the socket of what docker-py returns for a stream; all of it is closed at the end.

    A descriptor that another process has inherited keeps it open. Source: docker-py keeps the response at the stream,
    and the response keeps the socket (`_get_raw_response_socket`).
    """
    try:
        yield getattr(stream, "_sock", stream)
    finally:
        stream._response.close()
        stream.close()


def frames(received: bytes) -> tuple[bytes, bytes]:
    """Return the content of complete frames, and the rest: for all streams here, some of which must not block.

    docker-py's own demultiplexing (docker.utils.socket) waits for each frame without a deadline.
    """
    content = b""
    while len(received) >= HEADER_BYTES:
        (length,) = struct.unpack(">4xL", received[:HEADER_BYTES])
        if len(received) < HEADER_BYTES + length:
            break
        content += received[HEADER_BYTES : HEADER_BYTES + length]
        received = received[HEADER_BYTES + length :]
    return content, received


def execute(api: docker.APIClient, container: str, command: list[str], deadline: Deadline) -> tuple[int, str]:
    """Run a command in a container; return its exit status and its output.

    Raises: requests' ReadTimeout, where the daemon sends nothing until the deadline.
    """
    made = api.exec_create(container, command)["Id"]
    received = b""
    with opened(api.exec_start(made, socket=True)) as stream:
        try:
            while True:
                stream.settimeout(max(deadline.left(), 0.001))
                if not (data := stream.recv(65536)):
                    break
                received += data
        except TimeoutError as error:
            raise ReadTimeout(f"nothing came of {command[0]} within {deadline.seconds:g} s") from error
    return int(api.exec_inspect(made)["ExitCode"] or 0), frames(received)[0].decode(errors="replace").strip()
