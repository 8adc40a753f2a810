"""The image of tools/fleet, built from its lock, and one of a backend of one's own: run as the pods of the Job are."""

import io
import json
import os
import re
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import installed
import pytest
import python_look_alike
import tiny_search
from conftest import KIT, PYTHON, Sandbox
from docker.models.containers import Container
from fleet_manifests import container_of, manifest
from leftovers import eventually

pytestmark = pytest.mark.long

OFFICIAL = "python:3.11-slim-bookworm"  # in the Dockerfiles of the kit and of the guide
HAS_REGISTRY = os.environ.get("PGDST_OFFLINE_IMAGE") == "never"  # so does a workflow say it
COMMAND = container_of(manifest("job.yaml"))["command"]
SHARDS = 3
SEARCH = {"PGDST_SEED": "1", "PGDST_SHARDS": f"0-{SHARDS - 1}", "PGDST_PROFILE": "quick", "PGDST_WORKERS": "1"}
REACHED_SECONDS = 900  # a search by one process on a busy machine
SIGKILLED = 137


@dataclass(frozen=True)
class Pod:
    """Makes containers as the Job makes pods: its command, user, rights and places, on one volume."""

    client: docker.DockerClient
    image: str
    volume: str

    @contextmanager
    def runs(self, command: list[str], **variables: str) -> Iterator[Container]:
        """Yield a container that is running a command; it is removed at the end."""
        made = self.client.containers.run(
            self.image,
            entrypoint=command[:1],
            command=command[1:],
            environment=variables,
            user="65532:65532",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            network_mode="none",
            tmpfs={"/tmp": "mode=1777"},  # noqa: S108  the container's own
            volumes={self.volume: {"bind": "/results", "mode": "rw"}},
            init=True,
            detach=True,
        )
        try:
            yield made
        finally:
            made.remove(force=True)


@contextmanager
def base(client: docker.DockerClient, **variables: str) -> Iterator[str]:
    """Yield the name of an image with Python: where no registry answers, one that is like the official one."""
    if HAS_REGISTRY:
        yield OFFICIAL
        return
    name = f"pgdst-test/python:{secrets.token_hex(8)}"
    with python_look_alike.built(client, name, **variables):
        yield name


def build(client: docker.DockerClient, folder: Path, opened: ExitStack, *arguments: str) -> str:
    """Build an image from a folder, and return its name; it is removed with `opened`."""
    name = f"pgdst-test/search:{secrets.token_hex(8)}"
    subprocess.run(["docker", "build", "--quiet", f"--tag={name}", *arguments, "."], cwd=folder, check=True)
    opened.callback(client.images.remove, name, force=True)
    return name


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of the lock, which pip finds as it is configured here; none where a build finds them itself."""
    folder = tmp_path_factory.mktemp("wheels")
    if not HAS_REGISTRY:
        lock = KIT / "tools" / "fleet" / "requirements.lock"
        options = ["--require-hashes", "--no-deps", "--only-binary=:all:", f"--requirement={lock}", f"--dest={folder}"]
        pip = [str(PYTHON), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *options], check=True)
    return folder


def checkout(folder: Path) -> Path:
    """Copy the files of this checkout, as a clone would have them, into a folder."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=KIT, capture_output=True, text=True, check=True).stdout
    for name in names.rstrip("\0").split("\0"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(KIT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def image(docker_client: docker.DockerClient, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, for this module only, under a name that no other has."""
    context = checkout(tmp_path_factory.mktemp("checkout"))
    shutil.copytree(wheels, context / "tools" / "fleet" / "wheels", dirs_exist_ok=True)
    with ExitStack() as opened:
        arguments = ["--file=tools/fleet/Dockerfile", f"--build-arg=BASE={opened.enter_context(base(docker_client))}"]
        if not HAS_REGISTRY:
            arguments += ["--network=none", "--build-arg=PIP_NO_INDEX=1", "--build-arg=PIP_FIND_LINKS=/wheels"]
        # The first stage under a name of its own, so that nothing of it is left when the name is removed.
        build(docker_client, context, opened, *arguments, "--target=packages")
        yield build(docker_client, context, opened, *arguments)


@pytest.fixture
def volume(docker_client: docker.DockerClient) -> Iterator[str]:
    """A volume of this test's own."""
    made = docker_client.volumes.create(f"pgdst-test-{secrets.token_hex(8)}")
    yield str(made.name)
    made.remove()


def test_a_pod_that_was_killed_goes_on_and_its_shards_are_those_of_a_host(
    docker_client: docker.DockerClient, image: str, volume: str, sandbox: Sandbox
) -> None:
    """Nothing is lost or run twice, each hash is the host's, and the folders of two indexes become one report."""
    pod = Pod(docker_client, image, volume)
    halves = [SEARCH | {"SHARES": "2", "JOB_COMPLETION_INDEX": index} for index in ("0", "1")]
    with pod.runs(COMMAND, **halves[0]) as killed:
        look = ["cat", "/results/0/shards.jsonl"]
        eventually(lambda: killed.exec_run(look).exit_code == 0, REACHED_SECONDS, "a shard", pause=0.5)
        killed.kill()
        assert SIGKILLED == killed.wait()["StatusCode"]
    with pod.runs(COMMAND, **halves[0]) as again:
        assert 0 == again.wait(timeout=REACHED_SECONDS)["StatusCode"], again.logs().decode()
        assert "it goes on; 1 shards" in again.logs().decode()
    with pod.runs(COMMAND, **halves[1]) as other:
        assert 0 == other.wait(timeout=REACHED_SECONDS)["StatusCode"], other.logs().decode()
        found = [*shards(other, "0"), *shards(other, "1")]
    to = sandbox.scratch / "host"
    done = sandbox.inside(KIT).script("search.py", "--engine", "embedded", "--to", to, **SEARCH)
    assert 0 == done.returncode, done.stdout + done.stderr
    assert SHARDS == len(found)
    assert tiny_search.hashes(to) == {one["shard"]: one["hash"] for one in found}
    merge = ["python", "-m", "pgdst", "merge-searches", "/results", "--to", "/results/report"]
    with pod.runs(merge) as merged:
        assert 0 == merged.wait(timeout=REACHED_SECONDS)["StatusCode"], merged.logs().decode()


def shards(container: Container, index: str) -> list[dict[str, object]]:
    """Return the lines of the shards in the folder of an index."""
    chunks, _ = container.get_archive(f"/results/{index}/shards.jsonl")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        [member] = tar.getmembers()
        content = tar.extractfile(member)
        assert content is not None
        return [json.loads(line) for line in content.read().splitlines()]


def test_a_backend_of_ones_own_is_searched_by_the_image_of_the_guide(
    docker_client: docker.DockerClient, wheels: Path, volume: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """It has an installed kit and no checkout; its shards are those of a host."""
    context = Path(shutil.copytree(tiny_search.write(sandbox).root, tmp_path / "backend"))
    (context / "wheels").mkdir()  # not as pytest makes folders, for its own user alone
    for wheel in wheels.iterdir():
        shutil.copy(wheel, context / "wheels")
    installed.build(context / "wheels")
    (context / "requirements.txt").touch()
    guide = (KIT / "tools" / "docs" / "guide" / "fleet.md").read_text(encoding="utf-8")
    [dockerfile] = re.findall(r"(?ms)^```dockerfile\n(.*?)^```$", guide)
    variables = SEARCH | {"PGDST_PROFILE": "default", "SHARES": "1", "JOB_COMPLETION_INDEX": "0"}
    with ExitStack() as opened:
        python = opened.enter_context(base(docker_client, PIP_NO_INDEX="1", PIP_FIND_LINKS="/srv/backend/wheels"))
        (context / "Dockerfile").write_text(dockerfile.replace(OFFICIAL, python))
        pod = Pod(docker_client, build(docker_client, context, opened), volume)
        done = opened.enter_context(pod.runs(COMMAND, **variables))
        assert 0 == done.wait(timeout=REACHED_SECONDS)["StatusCode"], done.logs().decode()
        found = shards(done, "0")
    options = ("--seed", "1", "--shards", f"0-{SHARDS - 1}", "--to", "host")
    tiny_search.search(sandbox, *options)
    assert tiny_search.hashes(sandbox.root / "host") == {one["shard"]: one["hash"] for one in found}
