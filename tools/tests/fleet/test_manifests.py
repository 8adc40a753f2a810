"""The manifests of a search on Kubernetes: what pods may do, what kustomize makes, and what `make lint` refuses."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import KIT, Sandbox
from fleet_manifests import FLEET, MANIFESTS, Manifest, container_of, literals, manifest

JOBS = ("job.yaml", "report.yaml")
CHECK = KIT / "tools" / "check_manifests.sh"


@pytest.mark.parametrize("name", JOBS)
def test_a_pod_is_restricted(name: str) -> None:
    """It meets the Pod Security Standard `restricted`, and has no token, no writable root and no endless appetite."""
    pod = manifest(name)["spec"]["template"]["spec"]
    container = container_of(manifest(name))
    assert not pod["automountServiceAccountToken"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert 65532 == pod["securityContext"]["runAsUser"]
    assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
    expected = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    assert expected == container["securityContext"]
    assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"]["limits"])
    assert set(container["resources"]["limits"]) == set(container["resources"]["requests"])


def test_what_was_found_is_not_run_again() -> None:
    """Status 1 ends an index, status 2 the Job; a pod that was evicted does not count."""
    job = manifest("job.yaml")
    rules = job["spec"]["podFailurePolicy"]["rules"]
    by_status = {one["onExitCodes"]["values"][0]: one for one in rules if "onExitCodes" in one}
    assert {1: "FailIndex", 2: "FailJob"} == {status: one["action"] for status, one in by_status.items()}
    assert {container_of(job)["name"]} == {one["onExitCodes"]["containerName"] for one in by_status.values()}
    assert ["Ignore"] == [one["action"] for one in rules if "onPodConditions" in one]
    assert "Never" == job["spec"]["template"]["spec"]["restartPolicy"], "or the API refuses the policy"


def test_the_image_is_that_of_the_kustomization() -> None:
    """Else it would be replaced in no pod."""
    [image] = manifest("kustomization.yaml")["images"]
    assert {image["name"]} == {container_of(manifest(name))["image"] for name in JOBS}


@pytest.mark.long  # of kubectl
def test_kustomize_takes_what_stands_in_its_file(tmp_path: Path) -> None:
    """The numbers of shares and of pods, the image and the knobs, in one place each."""
    _require_kubectl()
    copy = Path(shutil.copytree(FLEET, tmp_path / "fleet", ignore=shutil.ignore_patterns("wheels")))
    file = copy / "kustomization.yaml"
    text = file.read_text().replace("SHARES=8", "SHARES=100").replace("PARALLELISM=8", "PARALLELISM=50")
    file.write_text(text.replace("registry.example/pgdst-search", "registry.example/mine"))
    made = {(one["kind"], one["metadata"]["name"]): one for one in _kustomized(copy)}
    job = made["Job", "search"]
    assert (100, 50) == (job["spec"]["completions"], job["spec"]["parallelism"])
    assert "registry.example/mine:latest" == container_of(job)["image"]
    assert container_of(job)["image"] == container_of(made["Job", "search-report"])["image"]
    [config] = [one for (kind, _), one in made.items() if kind == "ConfigMap"]
    assert literals() | {"SHARES": "100", "PARALLELISM": "50"} == config["data"]
    assert [{"configMapRef": {"name": config["metadata"]["name"]}}] == container_of(job)["envFrom"]


def _kustomized(folder: Path) -> list[Manifest]:
    made = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(made.stdout))


@pytest.mark.long  # of kubectl
def test_kubectl_knows_what_the_guide_types() -> None:
    """Each command of kubectl, its options, and the files that it names; there is no cluster to run it in."""
    _require_kubectl()
    guide = (KIT / "tools" / "docs" / "guide" / "fleet.md").read_text(encoding="utf-8")
    commands = [shlex.split(line) for line in re.findall(r"(?m)^kubectl .*$", guide)]
    assert len(commands) > 3
    for words in commands:
        told = subprocess.run([*words[:2], "--help"], capture_output=True, text=True, check=True).stdout
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert [] == [option for option in options if f"{option}=" not in told], words
        assert [] == [word for word in words if word.startswith("tools/") and not (KIT / word).exists()]


def _require_kubectl() -> None:
    if shutil.which("kubectl") is None and "CI" not in os.environ:
        pytest.skip("there is no kubectl, which has kustomize in it")


def misspell(job: Manifest) -> None:
    """Plant a field that no version knows."""
    job["spec"]["backoffLimitPerIndexes"] = job["spec"].pop("backoffLimitPerIndex")


def quote(job: Manifest) -> None:
    """Plant a text where a number is wanted."""
    job["spec"]["completions"] = "8"


def rename(job: Manifest) -> None:
    """Plant a kind that there is not."""
    job["kind"] = "IndexedJob"


@pytest.mark.long  # the schemas are in an environment of `make lint`'s own
@pytest.mark.parametrize(
    ("plant", "told"), [(misspell, "backoffLimitPerIndexes"), (quote, "'8'"), (rename, "IndexedJob")]
)
def test_lint_refuses_a_broken_manifest(sandbox: Sandbox, plant: Callable[[Manifest], None], told: str) -> None:
    """It names what is wrong, and takes the manifest as it is."""
    broken = manifest("job.yaml")
    plant(broken)
    (sandbox.root / "broken.yaml").write_text(yaml.safe_dump(broken))
    done = sandbox.run(CHECK, sandbox.root / "broken.yaml")
    assert 1 == done.returncode
    assert told in done.stderr
    done = sandbox.run(CHECK, *[FLEET / name for name in MANIFESTS])
    assert (0, "") == (done.returncode, done.stderr)
