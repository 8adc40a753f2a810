"""Which image is used: tried against a real daemon and a registry on the loopback, as no public one may be in reach."""

import gzip
import hashlib
import http.server
import io
import json
import os
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import docker
import pytest
from docker.errors import APIError, ImageNotFound
from pgdst.errors import ConfigurationError, ImageError
from pgdst.server.docker import image, offline_image
from pgdst.server.docker.daemon_requests import Event
from pgdst.server.docker.image_list import images
from pgdst.server.docker.offline_contents import Entry

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
LAYER_BYTES = 3_000_000


class Registry(http.server.ThreadingHTTPServer):
    """The read half of the registry protocol, version 2, for images of one layer."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port of the loopback, which Docker trusts without TLS."""
        super().__init__(("127.0.0.1", 0), RegistryRequest)
        self.contents: dict[str, tuple[str, bytes]] = {"/v2/": ("application/json", b"{}")}
        self.released = threading.Event()  # what hangs, hangs until then
        self.asked: list[str] = []

    def name(self, repository: str, tag: str = "1") -> str:
        """Return what Docker calls an image of this registry."""
        return f"127.0.0.1:{self.server_port}/{repository}:{tag}"

    def publish(self, repository: str, architecture: str) -> str:
        """Add an image whose one layer does not compress, and return its name."""
        layer = offline_image.archive({Path("/noise"): Entry(0o644, content=secrets.token_bytes(LAYER_BYTES))})
        packed = gzip.compress(layer, compresslevel=1)
        rootfs = {"type": "layers", "diff_ids": [digest(layer)]}
        config = json.dumps({"os": "linux", "architecture": architecture, "rootfs": rootfs, "config": {}}).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": described("application/vnd.docker.container.image.v1+json", config),
                "layers": [described("application/vnd.docker.image.rootfs.diff.tar.gzip", packed)],
            }
        ).encode()
        for blob in (config, packed):
            self.contents[f"/v2/{repository}/blobs/{digest(blob)}"] = ("application/octet-stream", blob)
        for reference in ("1", digest(manifest)):
            self.contents[f"/v2/{repository}/manifests/{reference}"] = (MANIFEST_TYPE, manifest)
        return self.name(repository)


class RegistryRequest(http.server.BaseHTTPRequestHandler):
    """One request: `hangs/…` is never answered, a layer of `stalls/…` stops half way, what is not there is unknown."""

    server: Registry

    def do_GET(self) -> None:
        """Answer with headers and body."""
        self.server.asked.append(self.path)
        if "/hangs/" in self.path:
            self.server.released.wait(60)
            return
        kind, body = self.server.contents.get(self.path, ("application/json", UNKNOWN))
        self.send_response(200 if self.path in self.server.contents else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Content-Digest", digest(body))
        self.end_headers()
        if self.command == "HEAD":
            return
        with suppress(OSError):  # a pull that was given up
            if "/stalls/" in self.path and len(body) >= LAYER_BYTES:
                self.wfile.write(body[: LAYER_BYTES // 2])
                self.server.released.wait(60)
            else:
                self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  # http.server's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        """Keep quiet."""


UNKNOWN = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def described(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": digest(content)}


@pytest.fixture
def registry(client: docker.DockerClient) -> Iterator[Registry]:
    if sys.platform != "linux" and "CI" not in os.environ:
        pytest.skip("the daemon is in a virtual machine, whose loopback is not this one's")
    with Registry() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        yield server
        server.released.set()
        server.shutdown()
    mine = f"127.0.0.1:{server.server_port}/"
    for found in images(client):
        if any(name.startswith(mine) for name in found.tags + found.attrs["RepoDigests"]):
            client.images.remove(str(found.id), force=True)


@pytest.fixture
def nobody_listens() -> str:
    """Return the name of an image in a registry that is not there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    return f"127.0.0.1:{port}/postgres:16-alpine"


class Terminal(io.StringIO):
    """What a progress bar takes for a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


def daemon_architecture(client: docker.DockerClient) -> str:
    return image.daemon_platform(client).split("/")[1]


def test_an_image_that_is_present_is_used_without_asking_any_registry(
    client: docker.DockerClient, registry: Registry
) -> None:
    name = registry.publish("here", daemon_architecture(client))
    first = image.ensure(client, name)
    registry.asked.clear()
    again = image.ensure(client, name)
    assert again == image.Image(first.reference, name, f"{name}: present")
    assert registry.asked == []


def test_an_image_that_is_missing_is_pulled_and_named_by_its_id(
    client: docker.DockerClient, registry: Registry
) -> None:
    name = registry.publish("deep/er/image", daemon_architecture(client))
    found = image.ensure(client, name)
    assert found == image.Image(str(client.images.get(name).id), name, f"{name}: pulled")
    assert found.reference.startswith("sha256:")


@pytest.mark.parametrize("form", ["{repository}@{digest}", "{repository}:1@{digest}"])
def test_an_image_is_pulled_by_digest_with_or_without_a_tag(
    client: docker.DockerClient, registry: Registry, form: str
) -> None:
    repository = registry.publish("pinned", daemon_architecture(client)).rpartition(":")[0]
    pinned = next(path.rpartition("/")[2] for path in registry.contents if "/manifests/sha256:" in path)
    name = form.format(repository=repository, digest=pinned)
    assert image.ensure(client, name).why == f"{name}: pulled"


def test_a_pull_draws_its_bytes_on_a_terminal(
    client: docker.DockerClient, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    image.ensure(client, registry.publish("drawn", daemon_architecture(client)))
    assert re.search(r"drawn:1, 3\.0 of 3\.0 MB  \[#+\]  100%", terminal.getvalue())


def test_a_pull_is_silent_where_stderr_is_no_terminal(
    client: docker.DockerClient, registry: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    image.ensure(client, registry.publish("silent", daemon_architecture(client)))
    assert capfd.readouterr() == ("", "")


def test_an_image_the_registry_does_not_know_is_one_error_with_the_cures(
    client: docker.DockerClient, registry: Registry
) -> None:
    with pytest.raises(ImageError, match=r"manifest unknown.*Check the name.*ENGINE=embedded") as raised:
        image.ensure(client, registry.name("nothing"))
    assert "no registry answered" not in str(raised.value)
    assert "OFFLINE_IMAGE" not in str(raised.value)  # it stands in for the default image only


def test_a_default_image_the_registry_does_not_know_is_not_replaced_by_the_offline_one(
    client: docker.DockerClient, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "DEFAULT_IMAGE", registry.name("nothing"))
    with pytest.raises(ImageError, match="manifest unknown"):
        image.ensure(client, registry.name("nothing"))


def test_a_registry_that_never_answers_is_given_up(client: docker.DockerClient, registry: Registry) -> None:
    started = time.monotonic()
    with pytest.raises(ImageError, match=r"no registry answered \(no answer in 0.5 s\)"):
        image.ensure(client, registry.name("hangs/here"), silence_seconds=0.5)
    assert time.monotonic() - started < 5


def test_a_layer_that_stops_half_way_is_given_up(client: docker.DockerClient, registry: Registry) -> None:
    name = registry.publish("stalls/here", daemon_architecture(client))
    started = time.monotonic()
    with pytest.raises(ImageError, match=r"no registry answered \(nothing more in 1 s\)"):
        image.ensure(client, name, silence_seconds=1)
    assert time.monotonic() - started < 10


def test_an_image_of_ours_in_a_registry_that_is_not_there_is_an_error(
    client: docker.DockerClient, nobody_listens: str
) -> None:
    with pytest.raises(ImageError, match=r"no registry answered .*connection refused.* set IMAGE to") as raised:
        image.ensure(client, nobody_listens)
    assert "OFFLINE_IMAGE" not in str(raised.value)


def test_the_default_image_is_replaced_by_the_offline_one_when_no_registry_answers(
    client: docker.DockerClient, nobody_listens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "DEFAULT_IMAGE", nobody_listens)
    found = image.ensure(client, nobody_listens)
    assert (found.name, found.reference) == (image.OFFLINE_IMAGE, client.images.get(image.OFFLINE_IMAGE).id)
    assert re.search(r"16-offline: assembled.*, because no registry answered \(.*refused\)", found.why)


def test_the_offline_image_can_be_forbidden(
    client: docker.DockerClient, nobody_listens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "DEFAULT_IMAGE", nobody_listens)
    with pytest.raises(ImageError, match=r"no registry answered .*refused.*OFFLINE_IMAGE=auto.*ENGINE=embedded"):
        image.ensure(client, nobody_listens, offline="never")


def test_an_offline_image_that_cannot_be_assembled_is_an_error_that_says_both_reasons(
    client: docker.DockerClient, nobody_listens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "DEFAULT_IMAGE", nobody_listens)
    monkeypatch.setattr(offline_image, "present", lambda _client: None)
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(ImageError, match=r"no registry answered .*refused.*are for riscv64.*`docker load`.*ENGINE="):
        image.ensure(client, nobody_listens)


def test_with_an_offline_image_at_hand_a_silent_registry_costs_one_short_question(
    client: docker.DockerClient, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline_image.ensure(client, image.daemon_platform(client))
    monkeypatch.setattr(image, "DEFAULT_IMAGE", registry.name("hangs/here"))
    monkeypatch.setattr(image, "ANSWER_SECONDS", 0.5)
    started = time.monotonic()
    assert image.ensure(client, registry.name("hangs/here")).name == image.OFFLINE_IMAGE
    assert time.monotonic() - started < 5


def test_an_image_for_another_architecture_is_refused(client: docker.DockerClient, registry: Registry) -> None:
    name = registry.publish("foreign", "s390x")
    for _ in ("pulled", "present"):
        with pytest.raises(ImageError, match=r"here for linux/s390x, and this daemon runs linux/.*--platform linux/"):
            image.ensure(client, name)


@pytest.mark.parametrize("nonsense", ["", "Upper/Case", "two words", "-x/y:1", "a:b:c"])
def test_a_name_no_image_can_have_is_an_image_error(client: docker.DockerClient, nonsense: str) -> None:
    with pytest.raises(ImageError, match=r"IMAGE|could not be pulled"):
        image.ensure(client, nonsense)


def test_a_setting_for_the_offline_image_that_does_not_exist_is_refused(client: docker.DockerClient) -> None:
    with pytest.raises(ConfigurationError, match="neither auto nor never"):
        image.ensure(client, offline="perhaps")


def test_the_doctor_hears_that_an_image_can_be_pulled(client: docker.DockerClient, registry: Registry) -> None:
    name = registry.publish("asked/for", daemon_architecture(client))
    assert image.pullable(client, name) == (True, f"{name} is in the registry for {image.daemon_platform(client)}")
    with pytest.raises(ImageNotFound):
        client.images.get(name)


def test_the_doctor_hears_why_an_image_cannot_be_pulled(
    client: docker.DockerClient, registry: Registry, nobody_listens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "ANSWER_SECONDS", 0.5)
    foreign = registry.publish("foreign", "s390x")
    expected = {
        foreign: f"is in the registry for linux/s390x; this daemon runs {image.daemon_platform(client)}",
        registry.name("nothing"): "manifest unknown",
        registry.name("hangs/here"): "no registry answered (no answer in 0.5 s)",
        nobody_listens: "connection refused",
        "Upper/Case": "Upper/Case",
    }
    for name, reason in expected.items():
        possible, why = image.pullable(client, name)
        assert not possible
        assert reason in why
        assert why.startswith(name)


def test_removing_unused_images_takes_only_ours_and_only_the_unused(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A label of this test's own: the one in use is on images that other runs count on right now.
    label, mark = f"pgdst.test-{secrets.token_hex(4)}", secrets.token_hex(4)
    monkeypatch.setattr(offline_image, "LABEL", label)
    names = [f"pgdst/{mark}:unused", f"pgdst/{mark}:used", f"{mark}/built-from-ours:1", f"pgdst/{mark}:not-labelled"]
    for name in names:
        content = offline_image.archive({Path("/name"): Entry(0o644, content=name.encode())})
        changes = ['CMD ["x"]'] + ([f"LABEL {label}=1"] if "not-labelled" not in name else [])
        repository, tag = name.split(":")
        client.api.import_image_from_data(content, repository=repository, tag=tag, changes=changes)
    container = client.containers.create(names[1])
    try:
        assert image.remove_unused(client) == [names[0]]
        assert image.remove_unused(client) == []
        left = [tag for found in images(client) for tag in found.tags if mark in tag]
        assert sorted(left) == sorted(names[1:])
    finally:
        container.remove(v=True)
        for name in names:
            with suppress(APIError):
                client.images.remove(name)


def test_bytes_are_summed_over_the_layers_of_a_recorded_pull() -> None:
    """The events are dockerd 20.10's, in its order; a layer that was there already never counts."""
    events: list[Event] = [
        {"status": "Pulling from library/postgres", "id": "16-alpine"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "a"},
        {"status": "Already exists", "progressDetail": {}, "id": "b"},
        {"status": "Downloading", "progressDetail": {"current": 10, "total": 100}, "progress": "[=> ]", "id": "a"},
        {"status": "Downloading", "progressDetail": {"current": 5}, "id": "unsized"},
        {"status": "Downloading", "progressDetail": {"current": 1, "total": 50}, "progress": "[=> ]", "id": "c"},
        {"status": "Verifying Checksum", "progressDetail": {}, "id": "a"},
        {"status": "Download complete", "progressDetail": {}, "id": "a"},
        {"status": "Extracting", "progressDetail": {"current": 32, "total": 100}, "progress": "[=> ]", "id": "a"},
        {"status": "Download complete", "progressDetail": {}, "id": "c"},
        {"status": "Pull complete", "progressDetail": {}, "id": "a"},
        {"status": "Digest: sha256:0"},
        {},
    ]
    assert list(image.downloaded(events)) == [(10, 100), (11, 150), (101, 150), (150, 150)]


@pytest.mark.parametrize(
    ("words", "silent"),
    [
        ('Get "https://r/v2/": dial tcp: lookup r on 10.0.0.1:53: no such host', True),
        ('Get "https://r/v2/": dial tcp: lookup r on 127.0.0.53:53: server misbehaving', True),
        (
            'Get "https://r/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded)',
            True,
        ),
        ('Get "https://r/v2/": proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused', True),
        ('failed to resolve reference "r/x": failed to do request: Head "https://r/v2/": dial tcp: i/o timeout', True),
        ('Get "https://r/v2/": net/http: TLS handshake timeout', True),
        ('Get "https://r/v2/": EOF', True),
        ("received unexpected HTTP status: 503 Service Unavailable", True),
        ("manifest for x:1 not found: manifest unknown: manifest unknown", False),
        ("pull access denied for x, repository does not exist or may require 'docker login': denied", False),
        ("toomanyrequests: You have reached your pull rate limit.", False),
        ("no matching manifest for linux/arm64/v8 in the manifest list entries", False),
        ('Get "https://r/v2/": x509: certificate signed by unknown authority', False),
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", False),
    ],
)
def test_the_networks_failures_are_told_from_a_registrys_refusal(words: str, silent: bool) -> None:
    """The words are dockerd's, of several versions."""
    assert isinstance(image._told_apart(ImageError(words)), image.NoRegistryError) == silent
