"""A daemon that stops answering in the middle of a start, by way of a relay that passes a request on no more."""

import socket
import time

import pytest
from conftest import Sandbox
from pgdst.server.docker.engine import DockerEngine
from relay import relay

WAIT_SECONDS = 3
LONG_WAIT_SECONDS = 20  # in which a busy machine starts a server, before it falls silent
# Beyond --wait-seconds: the removal of what it may have made, twice, and the start of two Pythons on a busy machine.
A_LITTLE = 30


@pytest.mark.parametrize(
    ("at", "what"),
    [
        ("GET /_ping", "no answer at"),
        pytest.param("POST .*/containers/create", "create", marks=pytest.mark.long),
        pytest.param("POST .*/commit", "commit the snapshot", marks=pytest.mark.long),
        pytest.param("GET .*/images/json", "look for a snapshot", marks=pytest.mark.long),
        pytest.param("POST .*/containers/.*/attach", "make a snapshot", marks=pytest.mark.long),
        pytest.param("POST .*/containers/.*/start ", "start", marks=pytest.mark.long),
        pytest.param("POST .*/exec/.*/start ", "commit the snapshot", marks=pytest.mark.long),
    ],
)
def test_a_daemon_that_stops_answering_is_named_in_time(cold_sandbox: Sandbox, at: str, what: str) -> None:
    """One error says what was being waited for, soon after --wait-seconds are over."""
    seconds = LONG_WAIT_SECONDS if what == "commit the snapshot" else WAIT_SECONDS
    begin = time.monotonic()
    url = f"unix://{cold_sandbox.scratch}/relay"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(url.removeprefix("unix://"))
        listener.listen()
        with relay(listener, silent_at=at):
            options = ("--wait-seconds", str(seconds))
            done = cold_sandbox.with_postgres(*options, "--", "true", DOCKER_HOST=url)
    assert time.monotonic() - begin < seconds + A_LITTLE
    assert 1 == done.returncode
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert url in errors[0]
    assert what in errors[0]
    assert "Traceback" not in done.stderr
    DockerEngine().sweep()  # what the silent daemon did not hear of, as the next start does
