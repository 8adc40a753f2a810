"""Which Docker daemon is chosen and why."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from pgdst.errors import ConfigurationError
from pgdst.server.docker.endpoint import choose


@pytest.fixture(autouse=True)
def own_docker_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker configuration of the test's own, with one context `away`."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")  # docker-py looks for contexts beside it
    meta = tmp_path / "contexts" / "meta" / sha256(b"away").hexdigest()
    meta.mkdir(parents=True)
    endpoints = {"docker": {"Host": "tcp://docker.example:2375", "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": "away", "Metadata": {}, "Endpoints": endpoints}))
    return tmp_path


def test_docker_host_comes_first() -> None:
    """DOCKER_HOST beats a context."""
    found = choose({"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_CONTEXT": "away"})
    assert ("tcp://127.0.0.1:1", "DOCKER_HOST is set") == (found.url, found.why)


def test_docker_context_names_a_context() -> None:
    """DOCKER_CONTEXT is said to be the reason."""
    found = choose({"DOCKER_CONTEXT": "away"})
    assert ("tcp://docker.example:2375", "context away (DOCKER_CONTEXT)") == (found.url, found.why)


@pytest.mark.parametrize("text", ["[1]", "null", '"x"', "7"])
def test_a_configuration_that_is_none_is_named(own_docker_configuration: Path, text: str) -> None:
    file = own_docker_configuration / "config.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=f"{file} holds .*, expected a JSON object"):
        choose({})


def test_a_context_needs_no_config_json(
    own_docker_configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is one looked for in the working directory."""
    (own_docker_configuration / "config.json").unlink()
    assert "context away (DOCKER_CONTEXT)" == choose({"DOCKER_CONTEXT": "away"}).why
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "empty"))
    with pytest.raises(ConfigurationError, match="no docker context away"):
        choose({"DOCKER_CONTEXT": "away"})


def test_docker_context_use_is_followed(own_docker_configuration: Path) -> None:
    """What `docker context use` wrote counts where nothing is set."""
    (own_docker_configuration / "config.json").write_text('{"currentContext": "away"}')
    assert "context away (docker context use)" == choose({}).why


def test_without_any_the_default_socket_is_taken() -> None:
    """And it is said that nothing was set."""
    found = choose({})
    assert "unix:///var/run/docker.sock" == found.url
    assert "default socket" in found.why


def test_an_unknown_context_is_an_error() -> None:
    """Never another daemon in its place."""
    with pytest.raises(ConfigurationError, match="no docker context nowhere"):
        choose({"DOCKER_CONTEXT": "nowhere"})


@pytest.mark.parametrize(
    ("url", "host", "bind"),
    [
        ("unix:///var/run/docker.sock", "127.0.0.1", "127.0.0.1"),
        ("tcp://127.0.0.1:2375", "127.0.0.1", "127.0.0.1"),
        ("tcp://localhost:2375", "127.0.0.1", "127.0.0.1"),
        ("tcp://docker.invalid:2375", "docker.invalid", "0.0.0.0"),  # noqa: S104  # what is expected of a remote one
    ],
)
def test_ports_are_reached_where_the_daemon_is(url: str, host: str, bind: str) -> None:
    """A local daemon publishes on loopback; only a remote one on all its addresses."""
    found = choose({"DOCKER_HOST": url})
    assert (host, bind) == (found.database_host, found.bind_address)


def test_published_host_overrides_where_ports_are_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a forwarded socket, or a container that was given the daemon's."""
    monkeypatch.setenv("PGDST_PUBLISHED_HOST", "build-server")
    found = choose({"DOCKER_HOST": "unix:///forwarded.sock"})
    assert ("build-server", "0.0.0.0") == (found.database_host, found.bind_address)  # noqa: S104  # as above


def test_a_published_host_on_loopback_is_published_on_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` is no reason to listen on all addresses."""
    monkeypatch.setenv("PGDST_PUBLISHED_HOST", "localhost")
    assert "127.0.0.1" == choose({}).bind_address
