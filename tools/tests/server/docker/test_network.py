"""Whether a container shares this machine's network, and the port that its server gets there."""

import platform
import socket
import sys
from typing import Any

import pytest
from pgdst.server.docker.endpoint import Endpoint
from pgdst.server.docker.network import is_shared, reserved_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the daemon runs in a virtual machine")
HERE = Endpoint("unix:///var/run/docker.sock", "the test says so", {})
OURS: dict[str, Any] = {
    "Name": socket.gethostname(),
    "KernelVersion": platform.release(),
    "SecurityOptions": ["name=seccomp,profile=default"],
}


def test_a_daemon_of_this_machine_shares_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """But not where the user wants a port to be published."""
    assert is_shared(HERE, OURS)
    assert is_shared(HERE, {**OURS, "SecurityOptions": None})
    monkeypatch.setenv("PGDST_PUBLISHED_HOST", "127.0.0.1")
    assert not is_shared(HERE, OURS)


@pytest.mark.parametrize(
    "other",
    [
        {"Name": "docker-desktop"},
        {"KernelVersion": "6.10.14-linuxkit"},
        {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]},
        {"SecurityOptions": ["name=userns"]},
    ],
)
def test_a_daemon_elsewhere_does_not(other: dict[str, Any]) -> None:
    """In a virtual machine, in user namespaces of its own, or, to one in a container, outside of that."""
    assert not is_shared(HERE, {**OURS, **other})


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:2375", "https://build:2376"])
def test_a_daemon_over_tcp_does_not(url: str) -> None:
    """On loopback too: a forwarded port looks the same."""
    assert not is_shared(Endpoint(url, "the test says so", {}), OURS)


def test_a_reserved_port_is_for_a_server_with_so_reuseaddr_only() -> None:
    """Postgres sets it; what is given any free port does not get this one, and what asks for it is refused."""
    with reserved_port() as port:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)) as server:  # sets it
            assert port == server.getsockname()[1]
