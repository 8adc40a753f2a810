"""The bugs that `explore` and its rivals look for: functions of a backend, and twins that do it right.

Only SQLAlchemy is imported, as this is used in the environment of each rival. No tool's count of lines has this file.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

SCHEMA: Final = """
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
CREATE TABLE doctors (name text PRIMARY KEY, on_call bool NOT NULL);
CREATE TABLE tags (name text NOT NULL);
CREATE TABLE unique_tags (name text PRIMARY KEY);
CREATE TABLE charges (amount int NOT NULL);
CREATE TABLE charge_keys (key text PRIMARY KEY);
"""

Client = Callable[[Engine], None]
Setup = Callable[[Connection], None]
Check = Callable[[Connection], bool]


@dataclass(frozen=True)
class Bug:
    """Clients that have it, and clients that do not; `setup` is called before each run."""

    title: str
    setup: Setup
    wrong: tuple[Client, ...]
    right: tuple[Client, ...]


def execute(connection: Connection, statement: str, **parameters: Any) -> int:
    """Execute a statement; return how many rows it changed."""
    return connection.execute(text(statement), parameters).rowcount


def value(connection: Connection, query: str, **parameters: Any) -> Any:
    """Return the first value of a query."""
    return connection.execute(text(query), parameters).scalar()


# Lost update: a balance is read, and written back with one more.


def two_accounts(connection: Connection) -> None:
    """Begin with two empty accounts."""
    execute(connection, "DELETE FROM accounts")
    execute(connection, "INSERT INTO accounts VALUES (1, 0), (2, 0)")


def both_deposits_count(connection: Connection) -> bool:
    """Return whether two deposits have made two."""
    return bool(value(connection, "SELECT balance = 2 FROM accounts WHERE id = 1"))


def deposit(engine: Engine) -> None:
    """Add one to a balance, read without a lock."""
    with engine.begin() as connection:
        balance = value(connection, "SELECT balance FROM accounts WHERE id = 1")
        execute(connection, "UPDATE accounts SET balance = :new WHERE id = 1", new=balance + 1)


def deposit_rightly(engine: Engine) -> None:
    """Add one to a balance, read with a lock."""
    with engine.begin() as connection:
        balance = value(connection, "SELECT balance FROM accounts WHERE id = 1 FOR UPDATE")
        execute(connection, "UPDATE accounts SET balance = :new WHERE id = 1", new=balance + 1)


# Write skew: the last but one doctor goes off call, twice.


def two_doctors(connection: Connection) -> None:
    """Begin with two doctors on call."""
    execute(connection, "DELETE FROM doctors")
    execute(connection, "INSERT INTO doctors VALUES ('ada', true), ('bob', true)")


def somebody_is_on_call(connection: Connection) -> bool:
    """Return whether a doctor is left."""
    return bool(value(connection, "SELECT count(*) > 0 FROM doctors WHERE on_call"))


def go_off_call(name: str, engine: Engine, level: str = "REPEATABLE READ") -> None:
    """Let a doctor go if there is another one."""
    with engine.connect().execution_options(isolation_level=level) as connection, connection.begin():
        if value(connection, "SELECT count(*) FROM doctors WHERE on_call") > 1:
            execute(connection, "UPDATE doctors SET on_call = false WHERE name = :name", name=name)


def go_off_call_rightly(name: str, engine: Engine) -> None:
    """Let a doctor go if there is another one, serializably, and try again where the server has refused."""
    while True:
        try:
            return go_off_call(name, engine, "SERIALIZABLE")
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) != "40001":
                raise


# Check, then insert: a name that nobody has is taken, twice.


def no_tags(connection: Connection) -> None:
    """Begin without tags."""
    execute(connection, "DELETE FROM tags")
    execute(connection, "DELETE FROM unique_tags")


def there_is_one_tag(connection: Connection) -> bool:
    """Return whether the tag is there once."""
    return bool(value(connection, "SELECT (SELECT count(*) FROM tags) + (SELECT count(*) FROM unique_tags) = 1"))


def tag(engine: Engine) -> None:
    """Insert a tag if it is not there."""
    with engine.begin() as connection:
        if value(connection, "SELECT count(*) FROM tags WHERE name = 'new'") == 0:
            execute(connection, "INSERT INTO tags VALUES ('new')")


def tag_rightly(engine: Engine) -> None:
    """Insert a tag if it is not there, and let a constraint decide."""
    with engine.begin() as connection:
        execute(connection, "INSERT INTO unique_tags VALUES ('new') ON CONFLICT DO NOTHING")


# Deadlock: two accounts are locked in two orders.


def transfer(giver: int, taker: int, engine: Engine) -> None:
    """Move one from an account to another."""
    with engine.begin() as connection:
        execute(connection, "UPDATE accounts SET balance = balance - 1 WHERE id = :id", id=giver)
        execute(connection, "UPDATE accounts SET balance = balance + 1 WHERE id = :id", id=taker)


def transfer_rightly(giver: int, taker: int, engine: Engine) -> None:
    """Move one from an account to another, both locked by their number before."""
    with engine.begin() as connection:
        for account in sorted((giver, taker)):
            execute(connection, "SELECT FROM accounts WHERE id = :id FOR UPDATE", id=account)
        execute(connection, "UPDATE accounts SET balance = balance - 1 WHERE id = :id", id=giver)
        execute(connection, "UPDATE accounts SET balance = balance + 1 WHERE id = :id", id=taker)


def balances_are_zero(connection: Connection) -> bool:
    """Return whether the balances are as before: each transfer has one back."""
    return bool(value(connection, "SELECT bool_and(balance = 0) FROM accounts"))


# A race inside a statement, which looks for the tag and inserts it.


def tag_in_one_statement(engine: Engine) -> None:
    """Insert a tag if it is not there, by one statement that commits by itself."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        execute(connection, "INSERT INTO tags SELECT 'new' WHERE NOT EXISTS (SELECT FROM tags WHERE name = 'new')")


# Ambiguous commit: the answer to COMMIT is lost, and the charge is made again.


def no_charges(connection: Connection) -> None:
    """Begin without charges."""
    execute(connection, "DELETE FROM charges")
    execute(connection, "DELETE FROM charge_keys")


def charged_once_at_most(connection: Connection) -> bool:
    """Return whether the customer has not paid twice."""
    return bool(value(connection, "SELECT count(*) <= 1 FROM charges"))


def charge(engine: Engine) -> None:
    """Charge a customer; try again where the connection was lost."""
    for _ in range(3):
        with suppress(DBAPIError), engine.begin() as connection:
            execute(connection, "INSERT INTO charges VALUES (10)")
            return


def charge_rightly(engine: Engine) -> None:
    """Charge a customer under a key; try again where the connection was lost."""
    for _ in range(3):
        with suppress(DBAPIError), engine.begin() as connection:
            if execute(connection, "INSERT INTO charge_keys VALUES ('order 7') ON CONFLICT DO NOTHING"):
                execute(connection, "INSERT INTO charges VALUES (10)")
            return


def _each_doctor(client: Callable[[str, Engine], None]) -> tuple[Client, ...]:
    return partial(client, "ada"), partial(client, "bob")


def _there_and_back(client: Callable[[int, int, Engine], None]) -> tuple[Client, ...]:
    return partial(client, 1, 2), partial(client, 2, 1)


# By the name of the function in each tool's file that tests it.
BUGS: Final = {
    "lost_update": Bug("lost update", two_accounts, (deposit,) * 2, (deposit_rightly,) * 2),
    "write_skew": Bug("write skew", two_doctors, _each_doctor(go_off_call), _each_doctor(go_off_call_rightly)),
    "check_then_insert": Bug("check then insert", no_tags, (tag,) * 2, (tag_rightly,) * 2),
    "deadlock": Bug("deadlock", two_accounts, _there_and_back(transfer), _there_and_back(transfer_rightly)),
    "inside_a_statement": Bug("race inside a statement", no_tags, (tag_in_one_statement,) * 2, (tag_rightly,) * 2),
    "ambiguous_commit": Bug("ambiguous commit", no_charges, (charge,), (charge_rightly,)),
}
