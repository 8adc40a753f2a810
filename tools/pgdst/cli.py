"""The common parts of the kit's commands: options, and expected failures as one error with exit status 1."""

import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pgdst import project
from pgdst.errors import ConfigurationError, PgdstError
from pgdst.server.engines import ENGINES

if TYPE_CHECKING:  # each script imports only what it needs, to start quickly
    from pgdst.server.address import Server
    from pgdst.server.engine import Engine
    from pgdst.server.lifetime.lease import Lease
    from pgdst.server.spec import ServerSpec, TimeToLive

F = TypeVar("F", bound=Callable[..., Any])


class Finite(click.FloatRange):
    """A number in a range, without NaN, which click accepts."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, parameter, context)
        if number != number:  # only NaN differs from itself
            self.fail(f"{value} is not a number.", parameter, context)
        return number


HOURS = Finite(1 / 3600, 8760)


class Script(click.Command):
    """A command that prints an expected failure as an error message; a bug keeps its traceback."""

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, with commands in braces replaced by the way to call them here."""
        return _as_called(ctx, super().get_help(ctx))

    def invoke(self, context: click.Context) -> Any:
        """Run the command. SIGTERM and SIGHUP end it as Ctrl-C does, so that it cleans up."""
        _outlive_readers()
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, lambda found, _: sys.exit(128 + found))
        try:
            return super().invoke(context)
        except PgdstError as error:
            raise click.ClickException(str(error)) from error


class Commands(click.Group):
    """A group of commands. Only the called one is imported."""

    def __init__(self, *arguments: Any, names: Sequence[str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._names = names

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        """Return the names of all commands."""
        return list(self._names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's
        """Import a command."""
        if cmd_name not in self._names:
            return None
        module = import_module(f"pgdst.commands.{cmd_name.replace('-', '_')}")
        found: click.Command = module.main
        return found

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, with commands replaced by the way to call them here."""
        return _as_called(ctx, super().get_help(ctx))


def _as_called(context: click.Context, text: str) -> str:
    """Replace a command in braces, such as {db-up}, by its script, or by `python -m pgdst db-up`."""
    outermost = context.find_root()

    def called(found: re.Match[str]) -> str:
        if isinstance(outermost.command, Commands):
            return f"{outermost.command_path} {found[1]}"
        return f"{found[1].replace('-', '_')}.{'sh' if found[1] == 'with-postgres' else 'py'}"

    return re.sub(r"\{([a-z]+(?:-[a-z]+)*)\}", called, text)


def _outlive_readers() -> None:
    """Ignore errors of writing to standard error: its reader may have ended."""

    def quietly(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*arguments: Any) -> Any:
            with suppress(OSError):
                return write(*arguments)

        return written

    if sys.stderr is not None:
        sys.stderr.write = quietly(sys.stderr.write)  # type: ignore[method-assign]  # of this stream alone
        sys.stderr.flush = quietly(sys.stderr.flush)  # type: ignore[method-assign]  # as above


def script(function: Callable[..., Any]) -> click.Command:
    """Make a script of a function: its docstring is the help, with the paragraphs as they are."""
    return click.command(cls=Script, context_settings={"help_option_names": ["-h", "--help"]})(function)


def engine_options(function: F) -> F:
    """Add --engine, --image and --offline-image."""
    for option in (
        click.option(
            "--offline-image",
            type=click.Choice(["auto", "never"]),
            default="auto",
            show_default=True,
            envvar="PGDST_OFFLINE_IMAGE",
            help="If no registry answers: auto assembles an image, never fails.",
        ),
        click.option(
            "--image",
            default="postgres:16-alpine",
            show_default=True,
            envvar="PGDST_IMAGE",
            help="The Postgres 16 image: a tag, a mirror's name or a digest.",
        ),
        click.option(
            "--engine",
            type=click.Choice(ENGINES),
            default="docker",
            show_default=True,
            envvar="PGDST_ENGINE",
            help="docker, or embedded: the Postgres of a Python wheel.",
        ),
    ):
        function = option(function)
    return function


def project_options(function: F) -> F:
    """Add --backend, --alembic-ini and --simulation."""
    for option in (
        click.option(
            "--simulation",
            type=click.Path(path_type=Path),
            envvar="PGDST_SIMULATION",
            help="The folder of the simulation, instead of [tool.pgdst].",
        ),
        click.option(
            "--alembic-ini",
            type=click.Path(path_type=Path),
            envvar="PGDST_ALEMBIC_INI",
            help="The Alembic configuration, instead of [tool.pgdst].",
        ),
        click.option(
            "--backend",
            type=click.Path(path_type=Path),
            envvar="PGDST_BACKEND",
            help="The backend's folder, instead of [tool.pgdst].",
        ),
    ):
        function = option(function)
    return function


def server_spec(
    found: project.Project,
    lifetime: "Lease | TimeToLive",
    disk_mib: int,
    wait_seconds: float,
    snapshot: str = "auto",
) -> "ServerSpec":
    """Return the spec of a migrated server for this project. It starts from a snapshot unless that is `off`."""
    from pgdst.database.snapshot.contents import recipe
    from pgdst.server.settings import merged
    from pgdst.server.spec import ServerSpec

    return ServerSpec(
        found.checkout,
        lifetime,
        merged(found.settings),
        disk_mib,
        wait_seconds,
        recipe=recipe(found),
        snapshot=snapshot != "off",
    )


def target(found: project.Project, make: "Callable[[], Engine]") -> "Server":
    """Return the run's server, which the environment names, else the one that `make db-up` started for this checkout.

    Raises: ConfigurationError, if there is neither.
    """
    from pgdst.server import address

    server = address.from_environment(os.environ) or make().find_dev(found.checkout)
    if server is None:
        up = project.call_of("db-up")
        raise ConfigurationError(f"No database of this engine is up for {found.root}. Start one: {up}")
    return server


def say(text: str) -> None:
    """Print a message for the user to stderr, as stdout is for data."""
    click.echo(text, err=True)
