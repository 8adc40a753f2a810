"""Server: its URL, its environment, and the refusal of a server that is not ours."""

import os
import subprocess

import psycopg
import pytest
from pgdst.errors import ConfigurationError
from pgdst.server.address import Server, from_environment, libpq_variables
from pydantic import PostgresDsn
from sqlalchemy import make_url

TCP = Server("run1", "127.0.0.1", 5433, "p@ss/w:rd%")
SOCKET = Server("run1", "/tmp/pgdst-x y/server", 5432, "secret", engine="embedded")  # noqa: S108  # nothing is opened


@pytest.mark.parametrize("server", [TCP, SOCKET, Server("run1", "::1", 5432, "x")])
def test_a_server_survives_its_url(server: Server) -> None:
    """What from_environment reads is what environment() wrote."""
    assert server == from_environment(server.environment())


@pytest.mark.parametrize("server", [TCP, SOCKET])
def test_pydantic_accepts_the_url_and_leaves_it_as_it_is(server: Server) -> None:
    """Settings of FastAPI projects are pydantic's."""
    assert server.url == str(PostgresDsn(server.url.replace(" ", "%20")))


@pytest.mark.parametrize("server", [TCP, SOCKET])
def test_sqlalchemy_reads_the_url_as_it_is_meant(server: Server) -> None:
    """Host, port, user, password and database arrive at psycopg."""
    url = make_url(server.url)
    _, options = url.get_dialect()().create_connect_args(url)
    assert server.host == options["host"]
    assert str(server.port) == str(options["port"])
    assert (server.user, server.password, server.database) == (options["user"], options["password"], options["dbname"])


def test_the_shell_lines_set_ours_and_unset_what_else_libpq_reads() -> None:
    """A shell that evaluates them has no PGSERVICE, PGHOSTADDR or PGOPTIONS any more."""
    before = dict.fromkeys(libpq_variables(), "leaked")
    program = f"{TCP.shell()}\nenv"
    path = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["sh", "-c", program], env={**before, **path}, capture_output=True, text=True, check=True)
    assert "leaked" not in done.stdout
    assert "PGPASSWORD=p@ss/w:rd%\n" in done.stdout


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside as_environment everything leads to the server; afterwards all is as it was."""
    monkeypatch.setenv("DATABASE_URL", "theirs")
    monkeypatch.setenv("PGSERVICE", "theirs")
    before = dict(os.environ)
    with TCP.as_environment():
        assert TCP.url == os.environ["DATABASE_URL"]
        assert "PGSERVICE" not in os.environ
    assert before == dict(os.environ)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u:hidden@h:port/d", "hidden", "postgresql+psycopg://u:hidden@/d"]
)
def test_a_url_that_cannot_be_read_is_refused_without_being_shown(url: str) -> None:
    """The error does not print the URL: there may be a password in it."""
    with pytest.raises(ConfigurationError) as caught:
        from_environment({"PGDST_DATABASE_URL": url, "PGDST_RUN_ID": "run1"})
    assert "hidden" not in str(caught.value)


def test_without_variables_there_is_no_server() -> None:
    """DATABASE_URL alone names nothing."""
    assert from_environment({"DATABASE_URL": "postgresql://production/x"}) is None


def test_libpq_variables_are_those_of_the_installed_libpq() -> None:
    """The list comes from libpq, so none is forgotten when it learns a new one."""
    known = {option.envvar.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.envvar}
    assert known <= set(libpq_variables())
