"""The tests that a user of frontrun writes, by its default, DPOR.

With `lock_timeout`, as its documentation has it for Postgres: without, none of ten replays of the write skew succeeded.
The other orders of its search found the same, later.
"""

from functools import partial

import frontrun
from rivals import bugs
from rivals.bugs import Check, Client, Setup
from sqlalchemy import create_engine


def hold(database: str, setup: Setup, check: Check, *clients: Client) -> None:
    """Fail where the check does not hold after some interleaving of the clients."""
    engine = create_engine(database)

    def begin() -> None:
        with engine.begin() as connection:
            setup(connection)

    def holds(_state: None) -> bool:
        with engine.begin() as connection:
            return check(connection)

    def worker(client: Client, _state: None) -> None:
        client(engine)

    workers = [partial(worker, client) for client in clients]
    frontrun.explore(setup=begin, workers=workers, invariant=holds, lock_timeout=2000).assert_holds()


def lost_update(database: str, ada: Client, bob: Client) -> None:
    """Both deposits count."""
    hold(database, bugs.two_accounts, bugs.both_deposits_count, ada, bob)


def write_skew(database: str, ada: Client, bob: Client) -> None:
    """Somebody is on call."""
    hold(database, bugs.two_doctors, bugs.somebody_is_on_call, ada, bob)


def check_then_insert(database: str, ada: Client, bob: Client) -> None:
    """There is one tag."""
    hold(database, bugs.no_tags, bugs.there_is_one_tag, ada, bob)


def deadlock(database: str, ada: Client, bob: Client) -> None:
    """Both transfers are made."""
    hold(database, bugs.two_accounts, bugs.balances_are_zero, ada, bob)


def inside_a_statement(database: str, ada: Client, bob: Client) -> None:
    """There is one tag."""
    hold(database, bugs.no_tags, bugs.there_is_one_tag, ada, bob)


def ambiguous_commit(database: str, ada: Client) -> None:
    """The customer does not pay twice; it has no faults, so only the interleavings of one client are tried."""
    hold(database, bugs.no_charges, bugs.charged_once_at_most, ada)
