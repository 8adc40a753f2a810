"""What is told apart by Podman's own words, which are 4.3.1's: no test starts one."""

import requests
from docker.errors import APIError
from pgdst.doctor import _daemon
from pgdst.errors import ImageError
from pgdst.server.docker import image, podman
from pgdst.server.docker.container import FULL_DISK, Source, _tmpfs

SAID = {"ServerVersion": "4.3.1", "OSType": "linux", "Architecture": "amd64", "OperatingSystem": "debian"}
UNSUPPORTED = "Path /v1.41/distribution/postgres:16-alpine/json is not supported"


def test_podman_is_told_from_docker_and_the_doctor_names_it() -> None:
    assert not podman.answers(SAID)
    assert "4.3.1, linux/amd64, on debian" == _daemon(SAID).found
    assert "Podman 4.3.1, linux/amd64, on debian" == _daemon({**SAID, "BuildahVersion": "1.28.2"}).found


def test_a_question_that_podman_does_not_know_is_no_refusal() -> None:
    """It pulls all the same, so the pull is what tells."""
    assert isinstance(image._told_apart(ImageError(UNSUPPORTED)), image.NotAskedError)
    assert not isinstance(image._told_apart(ImageError("manifest unknown")), image.NotAskedError)


def test_a_snapshots_data_is_its_users_on_either() -> None:
    """Podman refuses Docker's way, and Docker Podman's."""
    source = Source("sha256:0", ("/var/lib/postgresql/data",), user="70:70")
    mounts = {name: _tmpfs(source, 8, podman=name == "podman") for name in ("docker", "podman")}
    assert {"rw,size=8m,uid=70,gid=70,mode=0700", "rw,size=4k,mode=1777,uid=70,gid=70"} == set(
        mounts["docker"].values()
    )
    assert "rw,size=8m,U,mode=0700" == mounts["podman"]["/var/lib/postgresql/data"]
    assert "rw,size=4k,mode=1777,U" == mounts["podman"][FULL_DISK]


def test_what_a_committed_image_is_to_have_is_told_line_by_line() -> None:
    """Values as they are, quotes of a JSON included: Podman undoes none."""
    told = podman.instructions({"a.b": '{"c": "d = e"}', "f": ""}, ["POSTGRES_PASSWORD="])
    assert ['LABEL a.b={"c": "d = e"}', "LABEL f=", "ENV POSTGRES_PASSWORD="] == told


def test_a_name_that_is_taken_is_told_from_other_refusals() -> None:
    """By Docker's status, or by Podman's words."""
    answer = requests.Response()
    answer.status_code = 500
    taken = 'creating container storage: the container name "pgdst-dev-a1" is already in use by 9e4b4dd18cc2'
    assert podman.is_name_taken(APIError("refused", answer, taken))
    assert not podman.is_name_taken(APIError("refused", answer, "creating container storage: no space left"))
    answer.status_code = 409
    assert podman.is_name_taken(APIError("refused", answer, "Conflict"))
