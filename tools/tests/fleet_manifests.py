"""The Kubernetes manifests of tools/fleet, as data."""

from typing import Any, Final

import yaml
from conftest import KIT

FLEET: Final = KIT / "tools" / "fleet"
MANIFESTS: Final = ("job.yaml", "report.yaml", "results.yaml")

Manifest = dict[str, Any]


def manifest(name: str) -> Manifest:
    """Return one of the files, which has one object."""
    found: Manifest = yaml.safe_load((FLEET / name).read_text(encoding="utf-8"))
    return found


def container_of(job: Manifest) -> Manifest:
    """Return the only container of a Job's pods."""
    [found] = job["spec"]["template"]["spec"]["containers"]
    return dict(found)


def literals() -> dict[str, str]:
    """Return the variables that kustomization.yaml gives to the pods of the search."""
    [config] = manifest("kustomization.yaml")["configMapGenerator"]
    return dict(one.split("=", 1) for one in config["literals"])
