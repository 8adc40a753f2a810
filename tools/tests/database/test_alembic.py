"""Alembic as projects set it up: where its configuration stands, its table, its heads, its env.py, its logging."""

import docker
import pytest
from conftest import QUICKER_ENGINE, Sandbox
from pgdst.server.docker import offline_image
from pgdst.server.docker.image import OFFLINE_IMAGE, daemon_platform
from tiny_backend import Backend

COUNT = ("--", "sh", "-c", "psql -XAtc 'SELECT count(*) FROM things'")
ASYNC_ENV = """
import asyncio
from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import async_engine_from_config
from tables import metadata


def migrate(connection):
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


async def main():
    section = context.config.get_section(context.config.config_ini_section, {})
    engine = async_engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
"""
TENANTS_ENV = """
from alembic import context
from sqlalchemy import create_engine, NullPool

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=NullPool)
with engine.connect() as connection:
    for name in ("one", "two"):
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {name}; SET search_path = {name}")
        connection.commit()
        context.configure(connection=connection, version_table_schema=name)
        with context.begin_transaction():
            context.run_migrations()
"""
LOGGING = """
[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
level = ERROR
handlers =
"""


def run_tests(sandbox: Sandbox, text: str, *options: str) -> None:
    """Run a test of the backend, which must pass."""
    done = sandbox.test(text, "--engine", "embedded", *options)
    assert 0 == done.returncode, done.stdout + done.stderr


def assert_migrated(sandbox: Sandbox) -> None:
    done = sandbox.with_postgres("--engine", "embedded", *COUNT)
    assert (0, "0\n") == (done.returncode, done.stdout), done.stderr


def test_settings_in_pyproject_toml_alone(sandbox: Sandbox) -> None:
    (sandbox.root / "alembic.ini").unlink()
    Backend(sandbox.root).configure('backend = "."\n[tool.alembic]\nscript_location = "%(here)s/migrations"')
    assert_migrated(sandbox)


def test_settings_in_both_files(sandbox: Sandbox) -> None:
    (sandbox.root / "alembic.ini").write_text("[alembic]\n")
    Backend(sandbox.root).configure('backend = "."\n[tool.alembic]\nscript_location = "%(here)s/migrations"')
    assert_migrated(sandbox)


def test_a_version_table_of_another_name(sandbox: Sandbox) -> None:
    """In a schema of its own, too."""
    env = sandbox.root / "migrations" / "env.py"
    own = "connection=connection, version_table='db_migrations', version_table_schema='ops'"
    schema = (
        "connection.exec_driver_sql('CREATE SCHEMA IF NOT EXISTS ops')\n    connection.commit()\n    context.configure"
    )
    env.write_text(env.read_text().replace("connection=connection", own).replace("context.configure", schema))
    assert_migrated(sandbox)


@pytest.mark.long
def test_several_heads_where_all_are_meant(sandbox: Sandbox) -> None:
    Backend(sandbox.root).migrate("0001_other", "op.execute('CREATE SCHEMA other')")
    refused = sandbox.with_postgres("--engine", "embedded", "--", "true")
    assert 1 == refused.returncode
    assert 'target = "heads"' in refused.stderr
    Backend(sandbox.root).configure('backend = "."\ntarget = "heads"')
    assert_migrated(sandbox)


def test_a_head_on_which_another_depends(sandbox: Sandbox) -> None:
    """Alembic keeps only the other in its table."""
    Backend(sandbox.root).configure('backend = "."\ntarget = "heads"').migrate("0001_other", "pass")
    file = sandbox.root / "migrations" / "versions" / "0001_other.py"
    file.write_text(f"{file.read_text()}\ndepends_on = '0001_things'\n")
    assert_migrated(sandbox)


def test_a_schema_for_each_tenant(sandbox: Sandbox) -> None:
    """With a table of Alembic's in each."""
    (sandbox.root / "migrations" / "env.py").write_text(TENANTS_ENV)
    Backend(sandbox.root).configure('backend = "."\ndrift = "off"')
    count = "SELECT count(*) FROM one.things, two.things"
    done = sandbox.with_postgres("--engine", "embedded", "--", "psql", "-XAtc", count)
    assert (0, "0\n") == (done.returncode, done.stdout), done.stderr


@pytest.mark.long
def test_an_asynchronous_env_py_in_a_running_loop(sandbox: Sandbox) -> None:
    (sandbox.root / "migrations" / "env.py").write_text(ASYNC_ENV)
    text = """
import asyncio


def test_it(request):
    async def ask():
        return request.getfixturevalue("migrated_server")

    assert asyncio.run(ask()).database
"""
    run_tests(sandbox, text, "--snapshot", "off")
    touched = (
        "import pathlib; pathlib.Path('tables.py').open('a').write('# later')\n"  # so that it migrates in the test
    )
    run_tests(sandbox, touched + text)


@pytest.mark.long
def test_logging_is_as_it_was_after_migrations(sandbox: Sandbox) -> None:
    """`fileConfig` disables the loggers that there were before."""
    ini = sandbox.root / "alembic.ini"
    ini.write_text(ini.read_text() + LOGGING)
    env = sandbox.root / "migrations" / "env.py"
    imports = "from logging.config import fileConfig\nfrom alembic import context\n"
    env.write_text(imports + "fileConfig(context.config.config_file_name)\n" + env.read_text())
    text = """
import logging
import pathlib

logger = logging.getLogger("shop")
pathlib.Path("tables.py").open("a").write("# later")  # so that the snapshot does not do, and the test migrates


def test_it(migrated_server, caplog):
    with caplog.at_level("INFO"):
        logger.info("sold")
    assert ["sold"] == [record.message for record in caplog.records]
"""
    run_tests(sandbox, text)
    run_tests(sandbox, text, "--snapshot", "off")


@pytest.mark.parametrize("engine", QUICKER_ENGINE)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "uuid-ossp",
            "the official image has uuid-ossp; the offline image and the embedded engine have plpgsql and vector"
            " alone.",
        ),
        ("postgis", "The official image lacks postgis as well: give an image that has it with IMAGE=."),
    ],
)
def test_an_extension_that_our_postgres_lacks_is_its_lack(
    cold_sandbox: Sandbox, docker_client: docker.DockerClient, engine: str, name: str, said: str
) -> None:
    """Not the migration's: the error says so, and what to do, in a line. The official image runs the first."""
    offline_image.ensure(docker_client, daemon_platform(docker_client))
    revision = cold_sandbox.root / "migrations" / "versions" / "0001_things.py"
    revision.write_text(
        revision.read_text().replace(
            "    op.create_table", f"    op.execute('CREATE EXTENSION \"{name}\"')\n    op.create_table", 1
        )
    )
    done = cold_sandbox.with_postgres("--engine", engine, "--image", OFFLINE_IMAGE, "--", "true")
    assert 1 == done.returncode
    [error] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert f'in revision 0001_things (0001_things.py, line 9): FeatureNotSupported: extension "{name}" is not' in error
    assert said in error


def test_an_assertion_of_alembics_is_said_in_words(sandbox: Sandbox) -> None:
    env = sandbox.root / "migrations" / "env.py"
    before = "connection.exec_driver_sql('SELECT 1')\n    context.configure"
    env.write_text(env.read_text().replace("context.configure", before))
    block = (
        "with op.get_context().autocommit_block():\n        op.execute('CREATE INDEX CONCURRENTLY i ON things (id)')"
    )
    Backend(sandbox.root).migrate("0002_index", block, "0001_things")
    done = sandbox.with_postgres("--engine", "embedded", "--", "true")
    assert 1 == done.returncode
    assert "in revision 0002_index" in done.stderr
    assert "autocommit_block cannot commit a transaction that is not Alembic's" in done.stderr
