"""Remove this checkout's databases, or those of a run (--run-dir)."""

import time
from pathlib import Path

import click

from pgdst import project, timings
from pgdst.cli import HOURS, engine_options, say, script
from pgdst.server.embedded.engine import EmbeddedEngine
from pgdst.server.engines import make_engine
from pgdst.server.lifetime.lease import Lease


@script
@engine_options
@click.option("--run-dir", type=click.Path(path_type=Path), help="The directory of a run: see {with-postgres}.")
@click.option(
    "--log-lines",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="How many of the last lines of a run's server log to show.",
)
@click.option(
    "--keep-hours",
    type=HOURS,
    help="Keep a run's database for so many hours instead; `{db-down}` without --run-dir removes it.",
)
def main(
    engine: str, image: str, offline_image: str, run_dir: Path | None, log_lines: int, keep_hours: float | None
) -> None:
    """Remove the databases that `{db-up}` started for this checkout or that its runs kept, and say which.

    Example: {db-down}
    """
    if run_dir:
        run = Lease(run_dir)
        if keep_hours is not None:
            chosen = make_engine(run.engine, image, offline_image)
            kept = chosen.keep_run(run, project.load().checkout, round(keep_hours * 3600))
            down = project.call_of("db-down")
            say(f"Kept for {keep_hours:g} h, the failure's database in it: {kept}. Remove it with: {down}")
            return
        timings.report_start_up("start db_down.py (processor time)")
        begin = run.fifo.stat().st_mtime if timings.are_wanted() else 0
        with timings.stage("removal"):
            lines = make_engine(run.engine, image, offline_image).remove_run(run, log_lines=log_lines)
        timings.report("the whole run", time.time() - begin)
        if lines:
            say("\n".join(["The last lines of the server's log:", *(f"  {line}" for line in lines)]))
        return
    checkout = project.load().checkout
    removed = EmbeddedEngine().remove_dev(checkout)
    if engine == "docker":
        removed += make_engine(engine, image, offline_image).remove_dev(checkout)
    say("\n".join(f"Removed {name}." for name in removed) or "No database of this checkout was up.")
