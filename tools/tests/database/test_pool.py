"""Databases that are lent: to many borrowers, for long, and nothing is left of them."""

from contextlib import closing

import docker
import psycopg
import pytest
import shop
from pgdst.database.databases import Databases
from pgdst.errors import SharedStateError
from pgdst.server.address import Server

MANY = 300
MIB = 1024 * 1024

USED_BY_THE_SERVER = """
    SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database), (SELECT count(*) FROM pg_database),
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""
WORK = """
    INSERT INTO accounts."Users" (name) SELECT 'user ' || n FROM generate_series(1, 50) n;
    INSERT INTO plain_1 (text) SELECT repeat('x', 5000) || n FROM generate_series(1, 30) n;
    UPDATE countries SET name = name || '!' WHERE id = 1
"""


def used(server: Server) -> tuple[int, int, int]:
    """Return the bytes of all databases, and how many databases and sessions there are."""
    with server.with_database("postgres").connect() as connection:
        [(size, databases, sessions)] = connection.execute(USED_BY_THE_SERVER)
        return int(size), databases, sessions


def memory(client: docker.DockerClient, server: Server) -> int:
    """Return the bytes of memory of the server's container, its data and what the kernel has cached for it included."""
    [container] = client.containers.list(filters={"label": f"pgdst.run={server.run_id}"})
    return int(client.api.stats(str(container.id), stream=False)["memory_stats"]["usage"])


@pytest.mark.long
def test_many_examples_leave_disk_memory_and_connections_flat(
    shop_server: Server, databases: Databases, docker_client: docker.DockerClient
) -> None:
    """What is dead in a clone goes with it, before it is much."""
    sizes, memories = [], []
    for number in range(MANY):
        with databases.lend() as url, shop.connect(url) as session:
            session.execute(WORK)
        sizes.append(used(shop_server))
        if number in (MANY // 3, MANY - 1):
            memories.append(memory(docker_client, shop_server))
    assert memories[-1] - memories[0] < 64 * MIB
    first, last = sizes[10], sizes[-1]
    assert last[0] - first[0] < 32 * MIB
    assert last[1] <= first[1] + 1  # one may just be being dropped
    assert last[2] <= first[2] + 1
    assert any("row versions" in reason for reason in databases.given_up)


def test_databases_that_are_lent_at_the_same_time_are_apart(databases: Databases) -> None:
    """What is written to one is not in the other."""
    with databases.lend() as one, databases.lend() as another:
        with shop.connect(one) as session:
            session.execute("INSERT INTO plain_1 (text) VALUES ('a')")
        with shop.connect(another) as session:
            assert [] == session.execute("SELECT * FROM plain_1").fetchall()


def test_a_borrower_that_fails_gives_its_database_back(shop_server: Server) -> None:
    """Its own failure is what is reported."""
    with closing(Databases(shop_server)) as databases:  # of which none has been used so much that it is given up
        with pytest.raises(psycopg.errors.DivisionByZero), databases.lend() as url, shop.connect(url) as session:
            session.execute("INSERT INTO plain_1 (text) VALUES ('a')").connection.execute("SELECT 1 / 0")
        with databases.lend() as another, shop.connect(another) as session:
            assert url == another
            assert [] == session.execute("SELECT * FROM plain_1").fetchall()


def test_a_database_that_cannot_be_dropped_is_an_error(shop_server: Server) -> None:
    """It is dropped in the background, but what goes wrong there is not lost."""
    databases = Databases(shop_server)
    with databases.lend() as url, shop.connect(url) as session:
        name = session.info.dbname
        session.execute(f"ALTER DATABASE {name} IS_TEMPLATE true".encode())
    with pytest.raises(psycopg.errors.WrongObjectType, match="cannot drop a template database"):
        databases.close()
    with shop_server.connect() as connection:
        connection.execute(f"ALTER DATABASE {name} IS_TEMPLATE false".encode())
        connection.execute(f"DROP DATABASE {name}".encode())


def test_the_database_that_was_used_last_is_kept_as_it_was(shop_server: Server) -> None:
    """Until the next one is lent, and when all is over; none before it is."""
    databases = Databases(shop_server, keep_last=True)
    with databases.lend() as first, shop.connect(first) as session:
        session.execute("INSERT INTO plain_1 (text) VALUES ('a')")
    with databases.lend() as url, shop.connect(url) as session:
        assert (first, []) == (url, session.execute("SELECT text FROM plain_1").fetchall())
        session.execute("INSERT INTO plain_1 (text) VALUES ('b')")
    databases.close()
    assert databases.last is not None
    with databases.last.connect() as session:
        assert [("b",)] == session.execute("SELECT text FROM plain_1").fetchall()
    with shop_server.with_database("postgres").connect() as connection:
        connection.execute(f"DROP DATABASE {databases.last.database}")


def test_a_kept_database_does_not_hide_what_was_done_to_the_server(shop_server: Server) -> None:
    """Whoever has changed what all databases share is told at once, kept or not."""
    databases = Databases(shop_server, keep_last=True)
    with pytest.raises(SharedStateError, match="pg_authid"), databases.lend() as url, shop.connect(url) as session:
        session.execute("CREATE ROLE left_behind")
    with shop_server.with_database("postgres").connect() as connection:
        connection.execute("DROP ROLE left_behind")
        databases.close()
        assert databases.last is not None
        connection.execute(f"DROP DATABASE {databases.last.database}")
