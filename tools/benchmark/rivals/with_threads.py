"""The tests that one writes without any tool: threads that begin at once, 200 times."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from rivals import bugs
from rivals.bugs import Check, Client, Setup
from sqlalchemy import create_engine


def hold(database: str, setup: Setup, check: Check, *clients: Client) -> None:
    """Fail where the check does not hold after some run, or a client fails."""
    engine = create_engine(database)
    start = Barrier(len(clients))

    def worker(client: Client) -> None:
        start.wait()
        client(engine)

    wrong = []
    with ThreadPoolExecutor(len(clients)) as threads:
        for run in range(1, 201):
            with engine.begin() as connection:
                setup(connection)
            ended = [threads.submit(worker, client) for client in clients]
            errors = [one.exception() for one in ended]
            with engine.begin() as connection:
                if any(errors) or not check(connection):
                    wrong.append(run)
    assert not wrong, f"{len(wrong)} of 200 runs are wrong, the first is run {wrong[0]}"


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
    """The customer does not pay twice."""
    hold(database, bugs.no_charges, bugs.charged_once_at_most, ada)
