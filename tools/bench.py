#!/usr/bin/env python3
"""Measure pgdst beside what a user would pick instead, side by side in one run, on this machine.

Prints tables of medians and ratios, and writes the same as JSON. Every contestant has the same image.
Exit status: 0 measured; 1 a contestant failed, or something was left behind; 2 wrong usage.
Example: .venv/bin/python tools/bench.py --rounds 5 --json bench.json
"""

import json
import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent / "benchmark"))
from contests import CONTESTS, image, leavings
from pgdst.cli import say, script


@script
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True, help="How often each is measured.")
@click.option("--only", type=click.Choice(sorted(CONTESTS)), multiple=True, help="One contest, or some.")
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    default="bench.json",
    show_default=True,
    help="Where the figures go.",
)
def main(rounds: int, only: tuple[str, ...], file: Path) -> None:
    """Run the contests, each in rounds in which every contestant has its turn.

    Example: bench.py --only start --rounds 3
    """
    used = image()
    say(f"Image: {used}")
    written: dict[str, object] = {"image": used, "rounds": rounds}
    before = leavings()
    for name in only or CONTESTS:
        contest = CONTESTS[name](used)
        times = contest.hold(rounds)
        click.echo("\n".join([*contest.table(times), ""]))
        written[name] = contest.facts(times)
    left = {kind: now - before[kind] for kind, now in leavings().items()}
    click.echo(f"Left behind, all contests together: {', '.join(f'{n} {kind}' for kind, n in left.items())}")
    file.write_text(json.dumps({**written, "left": left}, indent=2) + "\n", encoding="utf-8")
    say(f"Written: {file}")
    if any(count > 0 for count in left.values()):
        raise click.ClickException("A contestant left something: see above, and `docker ps --all`.")


if __name__ == "__main__":
    main()
