#!/usr/bin/env python3
"""List the checks of the simulation, each with what it says and the bugs that it is seen to find.

Exit status: 0; 2 for wrong usage.
Example: .venv/bin/python platform/backend/tests/simulation/list_checks.py --kind race --domain dwellers
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

TESTS = Path(__file__).resolve().parents[1]
KINDS = ("move", "move of both machines", "forbidden move", "race", "fault run", "invariant", "liveness")


@click.command(help=(__doc__ or "").partition("\n\nExit")[0])
@click.option("--kind", type=click.Choice(KINDS), help="List these only.")
@click.option("--domain", help="List those of one folder only, such as dwellers.")
def main(kind: str | None, domain: str | None) -> None:
    """Print the checks, a line each and lines for what belongs to it."""
    for line in lines(kind, domain):
        click.echo(line)


def lines(kind: str | None, domain: str | None) -> Iterator[str]:
    """Yield what is printed of the checks of a kind and of a domain; None stands for all."""
    # Not before a command is called for its help: the simulation takes a second to import.
    from simulation.domains import import_planted_bugs
    from simulation.engine.checks import checks_of
    from simulation.engine.planting import bugs_of
    from simulation.machine import DeepSciFi, DeepSciFiUnderFaults

    import_planted_bugs()
    for one in [kind] if kind is not None else KINDS:
        checks = checks_of(DeepSciFi, one) | checks_of(DeepSciFiUnderFaults, one)
        listed = [check for _name, check in sorted(checks.items()) if domain in (None, check.domain)]
        if listed:
            yield f"{one}: {len(listed)}"
        for check in listed:
            yield f"  {' '.join(filter(None, (check.name, check.answered)))} ({check.domain})"
            yield from (f"    {line.strip()}" for line in check.about.splitlines() if line)
            yield from (f"    finds {bug}" for bug in bugs_of(check.name))


if __name__ == "__main__":
    # In the place of this folder, whose packages are parts of `simulation`.
    sys.path[0:1] = [str(TESTS), str(TESTS.parent), str(TESTS.parents[2] / "tools")]
    main()
