"""The workflow of a search on many runners, and what `make lint` refuses in any workflow."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import KIT

WORKFLOWS = KIT / ".github" / "workflows"
LINT = KIT / ".venv-lint" / "bin"
SHELLCHECK = KIT / ".venv" / "bin" / "shellcheck"
PLANTED = {
    "an action by its tag": ("actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8", "actions/checkout@v5"),
    "an input within a command": ("run: make search", "run: make search SEED=${{ inputs.seed }}"),
    "an input that there is not": ("${{ inputs.minutes }}", "${{ inputs.hours }}"),
    "a token that stays": ("persist-credentials: false", "fetch-depth: 1"),
    "a variable without quotes": ('chmod 777 "$TO"', "chmod 777 $TO"),
    "more rights than it needs": ("permissions: {}", "permissions: write-all"),
}


def workflow(name: str) -> Any:
    """Return a workflow as data; PyYAML reads its key `on` as true."""
    return yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))


def test_a_night_asks_only_for_what_the_search_offers() -> None:
    """Its inputs are declared, and the search's own jobs are held to time."""
    search = workflow("search.yml")
    asked = [
        job["with"] for job in workflow("night.yml")["jobs"].values() if job.get("uses", "").endswith("/search.yml")
    ]
    assert asked
    for inputs in asked:
        assert set(inputs) <= set(search[True]["workflow_call"]["inputs"])
    assert [] == [name for name, job in search["jobs"].items() if "timeout-minutes" not in job]


def test_the_guide_asks_only_for_what_the_search_offers() -> None:
    """In each of its calls, and its table has all inputs."""
    guide = (KIT / "tools" / "docs" / "guide" / "fleet.md").read_text(encoding="utf-8")
    calls = [yaml.safe_load(block) for block in re.findall(r"(?ms)^```yaml\n(.*?)^```$", guide)]
    inputs = set(workflow("search.yml")[True]["workflow_call"]["inputs"])
    assert len(calls) > 1
    for call in calls:
        assert set(call["jobs"]["search"]["with"]) <= inputs
    assert inputs == set(re.findall(r"(?m)^\| `(\w+)` \|", guide))


def test_no_input_gets_into_a_command() -> None:
    """Commands read variables; an expression within one would be text of the command."""
    for file in WORKFLOWS.glob("*.yml"):
        for job in workflow(file.name)["jobs"].values():
            commands = [step["run"] for step in job.get("steps", ()) if "run" in step]
            assert [] == [command for command in commands if re.search(r"\$\{\{ *inputs", command)], file.name


@pytest.mark.long  # the linters are in an environment of `make lint`'s own
@pytest.mark.parametrize("planted", PLANTED)
def test_lint_refuses_a_broken_workflow(tmp_path: Path, planted: str) -> None:
    """And takes it as it is."""
    right, wrong = PLANTED[planted]
    text = (WORKFLOWS / "search.yml").read_text(encoding="utf-8")
    assert right in text
    assert _is_taken(tmp_path, text)
    assert not _is_taken(tmp_path, text.replace(right, wrong))


def _is_taken(folder: Path, text: str) -> bool:
    (folder / "search.yml").write_text(text, encoding="utf-8")
    commands: list[list[str | Path]] = [
        [LINT / "jactionlint", "--shellcheck", SHELLCHECK, "search.yml"],
        [LINT / "zizmor", "--offline", "--quiet", "search.yml"],
    ]
    return all(subprocess.run(one, cwd=folder, capture_output=True, check=False).returncode == 0 for one in commands)
