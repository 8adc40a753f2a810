"""Start a throw-away, migrated Postgres 16: this checkout's, for some hours, or a run's (--run-dir)."""

from pathlib import Path

import click

from pgdst import project, timings
from pgdst.cli import HOURS, Finite, engine_options, project_options, say, script, server_spec
from pgdst.server.address import Server, exports
from pgdst.server.engine import up
from pgdst.server.engines import make_engine
from pgdst.server.lifetime import lease
from pgdst.server.spec import TimeToLive


@script
@engine_options
@project_options
@click.option(
    "--ttl-hours",
    type=HOURS,
    default=12,
    show_default=True,
    envvar="PGDST_TTL_HOURS",
    help="The database removes itself after so many hours.",
)
@click.option(
    "--disk-mib",
    type=click.IntRange(16, 2**20),
    default=1024,
    show_default=True,
    envvar="PGDST_DISK_MIB",
    help="Room for the data in memory, in MiB (docker only).",
)
@click.option(
    "--wait-seconds",
    type=Finite(1, 3600),
    default=60,
    show_default=True,
    help="How long the start may take, without pulling an image and without migrations.",
)
@click.option(
    "--snapshot",
    type=click.Choice(["auto", "off"]),
    default="auto",
    show_default=True,
    envvar="PGDST_SNAPSHOT",
    help="auto: start from a cached, migrated data directory, and make it first where there is none; off: migrate.",
)
@click.option(
    "--embedded-tcp",
    type=click.Choice(["0", "1"]),
    default="0",
    show_default=True,
    envvar="PGDST_EMBEDDED_TCP",
    help="1: also listen on a free port of 127.0.0.1, for clients without Unix sockets (embedded only).",
)
@click.option("--run-dir", type=click.Path(path_type=Path), help="The directory of a run: see {with-postgres}.")
def main(
    engine: str,
    image: str,
    offline_image: str,
    backend: Path | None,
    alembic_ini: Path | None,
    simulation: Path | None,
    ttl_hours: float,
    disk_mib: int,
    wait_seconds: float,
    snapshot: str,
    embedded_tcp: str,
    run_dir: Path | None,
) -> None:
    """Start this checkout's database, or find the one that is up, migrate it to head, and print its URL on stdout.

    With --run-dir it starts a run's server instead, and writes its coordinates to RUN_DIR/environment.

    Example: url=$({db-up} --ttl-hours 2)
    """
    timings.report_start_up("start db_up.py (processor time)")
    found = project.load(backend=backend, alembic_ini=alembic_ini, simulation=simulation)
    with timings.stage("connect to the engine"):
        chosen = make_engine(engine, image, offline_image, wait_seconds, tcp=embedded_tcp == "1")
    if run_dir:
        run = lease.take(run_dir, engine)
        server = chosen.start(server_spec(found, run, disk_mib, wait_seconds, snapshot))
        _leave(found, run, server)
        return
    lifetime = TimeToLive(round(ttl_hours * 3600))
    server, new = up(chosen, server_spec(found, lifetime, disk_mib, wait_seconds, snapshot))
    state, down = f"Started, for {ttl_hours:g} h" if new else "Already up", project.call_of("db-down")
    say(f"{state}, at revision {server.revision}. Remove it with: {down}")
    click.echo(server.url)


def _leave(found: project.Project, run: lease.Lease, server: Server) -> None:
    """Leave the server's coordinates, and what its database was migrated from, in the run's directory."""
    variables = {**found.environment(), **found.settings_for(server), "PGDST_ENGINE": run.engine}
    if server.manifest:
        variables["PGDST_MANIFEST"] = str(run.write_manifest(server.manifest.to_json()))
    run.write_environment(f"{server.shell()}{exports(variables)}")
