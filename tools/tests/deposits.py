"""Deposits that read a balance and write it back, rightly and not, and what explore finds in them."""

from typing import Any

import pytest
from pgdst.simulation.explore.explore import FoundError, explore
from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

SCHEMA = b"""
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
CREATE TABLE others (id int PRIMARY KEY, balance int NOT NULL);
CREATE TABLE tags (name text);
CREATE TABLE odd (id int PRIMARY KEY, t int, n int NOT NULL);
CREATE TABLE wallets (id int PRIMARY KEY, balance int CHECK (balance >= 0));
CREATE TABLE charges (id int GENERATED ALWAYS AS IDENTITY, key text);
CREATE TABLE doctors (name text PRIMARY KEY, on_call bool NOT NULL);
INSERT INTO accounts VALUES (1, 0), (2, 0);
INSERT INTO others VALUES (1, 0);
INSERT INTO odd VALUES (1, 7, 0);
INSERT INTO wallets VALUES (1, 5);
INSERT INTO doctors VALUES ('ada', true), ('bob', true);
"""


def deposit(engine: Engine) -> None:
    """Add one to what was read."""
    with engine.begin() as connection:
        found = connection.scalar(text("SELECT balance FROM accounts WHERE id = 1"))
        connection.execute(text("UPDATE accounts SET balance = :new WHERE id = 1"), {"new": found + 1})


def deposit_rightly(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE accounts SET balance = balance + 1 WHERE id = 1"))


async def deposit_async(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        found = await connection.scalar(text("SELECT balance FROM accounts WHERE id = 1"))
        await connection.execute(text("UPDATE accounts SET balance = :new WHERE id = 1"), {"new": found + 1})


def is_two(connection: Connection) -> bool:
    return bool(connection.scalar(text("SELECT balance FROM accounts WHERE id = 1")) == 2)


TWO = {"ada": deposit, "bob": deposit}


def failure_of(engine: Any, **options: Any) -> FoundError:
    """Return what explore finds."""
    with pytest.raises(FoundError) as raised:
        explore(engine, **options)
    return raised.value


def in_one(engine: Engine, *statements: str) -> None:
    """Execute statements in one transaction."""
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
