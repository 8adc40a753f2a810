"""The Makefile: it explains itself, and the reference agrees with it."""

import re

import pytest
import tiny_backend
from conftest import KIT, Sandbox

MAKEFILE = (KIT / "Makefile").read_text(encoding="utf-8")
REFERENCE = (KIT / "tools" / "docs" / "reference" / "targets.md").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):.*##\*? ", MAKEFILE, re.MULTILINE)
KNOBS = re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.MULTILINE)


def test_make_alone_shows_six_targets_and_where_the_others_are(sandbox: Sandbox) -> None:
    """`help` is the default goal."""
    done = sandbox.inside(KIT).run("make")
    assert 0 == done.returncode
    shown = re.findall(r"^  ([a-z-]+) +\S", done.stdout, re.MULTILINE)
    assert ["test-dst", "db-up", "db-down", "db-shell", "test", "doctor"] == shown
    assert "make help-all" in done.stdout


def test_make_help_all_shows_every_target_and_knob(sandbox: Sandbox) -> None:
    """Each has its line."""
    done = sandbox.inside(KIT).run("make", "help-all")
    assert 0 == done.returncode
    for name in (*TARGETS, *KNOBS):
        assert re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE), name


@pytest.mark.parametrize("name", [*TARGETS, *KNOBS])
def test_the_reference_describes_every_target_and_knob(name: str) -> None:
    """Each has a row in one of its tables."""
    assert re.search(rf"^\| `(make )?{name}` \|", REFERENCE, re.MULTILINE)


def test_the_reference_describes_no_target_or_knob_that_is_gone() -> None:
    """What the tables name is in the Makefile."""
    described = re.findall(r"^\| `(?:make )?([A-Za-z_-]+)` \|", REFERENCE, re.MULTILINE)
    assert set(described) == {*TARGETS, *KNOBS}


def test_test_dst_says_docker_is_not_running_and_uses_nothing_else(sandbox: Sandbox) -> None:
    """With a dead endpoint: the words, and neither another engine nor a server on 5432."""
    done = sandbox.inside(KIT).run("make", "test-dst", DOCKER_HOST="tcp://127.0.0.1:9")
    assert 2 == done.returncode  # make's own for any failure
    assert "Docker is not running" in done.stderr
    assert "Error 1" in done.stderr  # the script's status
    assert "" == done.stdout


def test_a_wrong_knob_is_refused_by_name(sandbox: Sandbox) -> None:
    """ENGINE=oracle names the choices."""
    done = sandbox.inside(KIT).run("make", "test-dst", "ENGINE=oracle")
    assert 2 == done.returncode
    assert "'oracle' is not one of 'docker', 'embedded'" in done.stderr


def test_the_virtual_environment_is_made_once(sandbox: Sandbox) -> None:
    """When it is there, make venv does nothing."""
    done = sandbox.inside(KIT).run("make", "venv")
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("python", ["no-such-python", "false"])
def test_a_python_that_cannot_be_used_is_named_and_leaves_nothing(sandbox: Sandbox, python: str) -> None:
    """In another checkout, as this one's environment is in use."""
    copy = tiny_backend.copy_kit(sandbox.root / "copy")
    (copy / ".venv").unlink()
    done = sandbox.inside(copy).run("make", "test-dst", f"PYTHON={python}")
    assert 2 == done.returncode
    assert python in done.stderr
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize("knob", [knob for knob in KNOBS if knob != "ARGS"])
def test_what_a_knob_says_reaches_the_scripts_as_it_is(sandbox: Sandbox, knob: str) -> None:
    """Neither make nor a shell takes it for anything else."""
    probe = sandbox.root / "probe.mk"
    probe.write_text(f"include {KIT}/Makefile\nprobe:\n\t@env -0\n")
    said = "a b'c\"d$(touch y)`touch y`$$HOME;touch y\\#%*"
    done = sandbox.run("make", "-C", sandbox.root, "-f", probe, "probe", **{knob: said})
    assert f"={said}" in re.findall(r"PGDST_\w+(=[^\0]*)\0", done.stdout), done.stdout + done.stderr
    assert not (sandbox.root / "y").exists()


def test_no_recipe_expands_a_knob_but_args() -> None:
    recipes = [line for line in MAKEFILE.splitlines() if line.startswith("\t")]
    expanded = set(re.findall(r"\$\(([A-Z_]+)", "\n".join(recipes)))
    assert {"ARGS"} == expanded & set(KNOBS)
