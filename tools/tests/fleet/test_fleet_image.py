"""The image of tools/fleet, built from its lock, and one of a backend of one's own: run as the pods of the Job are."""

import io
import json
import os
import random
import re
import secrets
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
MANY_SHARDS = 64
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


@dataclass(frozen=True)
class OwnBackend:
    """A backend of one's own, and an image of it."""

    sandbox: Sandbox
    image: str


@pytest.fixture
def own(docker_client: docker.DockerClient, wheels: Path, sandbox: Sandbox, tmp_path: Path) -> Iterator[OwnBackend]:
    """The tiny backend in the guide's image: an installed kit and no checkout."""
    context = Path(shutil.copytree(tiny_search.write(sandbox).root, tmp_path / "backend"))
    (context / "wheels").mkdir()  # not as pytest makes folders, for its own user alone
    for wheel in wheels.iterdir():
        shutil.copy(wheel, context / "wheels")
    installed.build(context / "wheels")
    (context / "requirements.txt").touch()
    guide = (KIT / "tools" / "docs" / "guide" / "fleet.md").read_text(encoding="utf-8")
    [dockerfile] = re.findall(r"(?ms)^```dockerfile\n(.*?)^```$", guide)
    with ExitStack() as opened:
        python = opened.enter_context(base(docker_client, PIP_NO_INDEX="1", PIP_FIND_LINKS="/srv/backend/wheels"))
        (context / "Dockerfile").write_text(dockerfile.replace(OFFICIAL, python))
        yield OwnBackend(sandbox, build(docker_client, context, opened))


def test_a_backend_of_ones_own_is_searched_by_the_image_of_the_guide(
    docker_client: docker.DockerClient, own: OwnBackend, volume: str
) -> None:
    """Its shards are those of a host."""
    pod = Pod(docker_client, own.image, volume)
    with pod.runs(COMMAND, **SEARCH | {"PGDST_PROFILE": "default"} | of_index(0, 1)) as done:
        assert 0 == done.wait(timeout=REACHED_SECONDS)["StatusCode"], done.logs().decode()
        found = shards(done, "0")
    options = ("--seed", "1", "--shards", f"0-{SHARDS - 1}", "--to", "host")
    tiny_search.search(own.sandbox, *options)
    assert tiny_search.hashes(own.sandbox.root / "host") == {one["shard"]: one["hash"] for one in found}


def test_64_shards_in_one_pod_in_two_in_eight_and_in_some_that_are_killed(
    docker_client: docker.DockerClient, own: OwnBackend
) -> None:
    """The pods of an Indexed Job run side by side; a third is killed somewhen, and comes back."""
    with ExitStack() as opened:

        def job(pods: int, killed: Callable[[int], bool] = lambda _index: False) -> dict[str, Any]:
            made = docker_client.volumes.create(f"pgdst-test-{secrets.token_hex(8)}")
            opened.callback(made.remove)
            pod = Pod(docker_client, own.image, str(made.name))
            with ThreadPoolExecutor(pods) as pool:
                found = list(pool.map(lambda index: share_of(pod, index, pods, killed(index)), range(pods)))
            lines = [one for part in found for one in part]
            assert list(range(MANY_SHARDS)) == sorted(one["shard"] for one in lines)  # none is lost or counted twice
            return report_of(pod) | {"hashes": {one["shard"]: one["hash"] for one in lines}}

        one = job(1)
        assert one["failures"]
        assert one == job(2)
        assert one == job(8)
        assert one == job(9, lambda index: index % 3 == 0)


def of_index(index: int, pods: int) -> dict[str, str]:
    """Return what the Job tells one of its pods."""
    return {"SHARES": str(pods), "JOB_COMPLETION_INDEX": str(index)}


def share_of(pod: Pod, index: int, pods: int, is_killed: bool) -> list[dict[str, Any]]:
    """Return the shards that a pod has run, perhaps by a second start."""
    variables = {"PGDST_SEED": "3", "PGDST_SHARDS": f"0-{MANY_SHARDS - 1}", "PGDST_PROFILE": "wrong"}
    variables |= {"PGDST_WORKERS": "1", "TOSS_SECONDS": "0.05"} | of_index(index, pods)
    if is_killed:
        with pod.runs(COMMAND, **variables) as killed:
            time.sleep(random.Random(index).uniform(1, 8))
            with suppress(docker.errors.APIError):  # it may have ended before
                killed.kill()
            killed.wait(timeout=REACHED_SECONDS)
    with pod.runs(COMMAND, **variables) as done:
        status = done.wait(timeout=REACHED_SECONDS)["StatusCode"]
        found = shards(done, str(index))
    assert int(any(one["failure"] for one in found)) == status
    return found


def report_of(pod: Pod) -> dict[str, Any]:
    """Merge all folders of a volume, and return what does not depend on which pod was how fast."""
    with pod.runs(["python", "-m", "pgdst", "merge-searches", "/results", "--to", "/results/report"]) as merged:
        assert 1 == merged.wait(timeout=REACHED_SECONDS)["StatusCode"], merged.logs().decode()
        return tiny_search.whatever_the_pace(json.loads(read(merged, "/results/report/report.json")))


def shards(container: Container, index: str) -> list[dict[str, Any]]:
    """Return the lines of the shards in the folder of an index."""
    return [json.loads(line) for line in read(container, f"/results/{index}/shards.jsonl").splitlines()]


def read(container: Container, file: str) -> bytes:
    """Return the content of a file in a container, which may have ended."""
    chunks, _ = container.get_archive(file)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        [member] = tar.getmembers()
        content = tar.extractfile(member)
        assert content is not None
        return content.read()
