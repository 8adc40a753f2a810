"""explore, where a block that catches an error gives back the locks by which a conflict would be seen."""

import pytest
from deposits import failure_of
from pgdst.simulation.explore.explore import explore
from sqlalchemy import Engine, text

SCHEMA = b"""
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
CREATE TABLE others (id int PRIMARY KEY, balance int NOT NULL);
INSERT INTO accounts VALUES (1, 0);
INSERT INTO others VALUES (1, 0);
CREATE FUNCTION peek() RETURNS int LANGUAGE plpgsql AS $$
DECLARE found int;
BEGIN
    SELECT balance INTO found FROM others;
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
    RETURN found;
END $$;
"""
IN_A_FUNCTION = "UPDATE accounts SET balance = balance * 10 + peek()"
IN_A_BLOCK = """
DO $$
DECLARE found int;
BEGIN
    BEGIN
        SELECT balance INTO found FROM others;
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        UPDATE accounts SET balance = balance * 10 + found;
    END;
END $$
"""


def raises(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE others SET balance = balance + 1"))


@pytest.mark.parametrize("statement", [IN_A_FUNCTION, IN_A_BLOCK])
def test_a_read_whose_lock_is_given_back_is_not_taken_for_independent(engine: Engine, statement: str) -> None:
    """Clients of two tables are run in two orders; these, whose tables seem to be two, in all."""

    def looks_twice(engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text(statement))
            connection.execute(text(statement))

    clients = {"ada": looks_twice, "bob": raises}
    assert explore(engine, clients=clients, check=lambda _connection: True).runs > 10
    assert failure_of(engine, clients=clients).result.preemptions == 1
