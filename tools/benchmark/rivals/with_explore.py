"""The tests that a user of `explore` writes. `database` is what pytest's fixture of this name gives."""

from pgdst import explore
from rivals import bugs
from rivals.bugs import Client
from sqlalchemy import create_engine


def lost_update(database: str, ada: Client, bob: Client) -> None:
    """Both deposits count."""
    explore(
        create_engine(database),
        setup=bugs.two_accounts,
        clients={"ada": ada, "bob": bob},
        check=bugs.both_deposits_count,
    )


def write_skew(database: str, ada: Client, bob: Client) -> None:
    """Somebody is on call."""
    explore(
        create_engine(database),
        setup=bugs.two_doctors,
        clients={"ada": ada, "bob": bob},
        check=bugs.somebody_is_on_call,
    )


def check_then_insert(database: str, ada: Client, bob: Client) -> None:
    """There is one tag."""
    explore(
        create_engine(database),
        setup=bugs.no_tags,
        clients={"ada": ada, "bob": bob},
        check=bugs.there_is_one_tag,
    )


def deadlock(database: str, ada: Client, bob: Client) -> None:
    """Both transfers are made."""
    explore(
        create_engine(database),
        setup=bugs.two_accounts,
        clients={"ada": ada, "bob": bob},
        check=bugs.balances_are_zero,
    )


def inside_a_statement(database: str, ada: Client, bob: Client) -> None:
    """There is one tag."""
    explore(
        create_engine(database),
        setup=bugs.no_tags,
        clients={"ada": ada, "bob": bob},
        check=bugs.there_is_one_tag,
    )


def ambiguous_commit(database: str, ada: Client) -> None:
    """The customer does not pay twice."""
    explore(
        create_engine(database),
        setup=bugs.no_charges,
        clients={"ada": ada},
        check=bugs.charged_once_at_most,
        faults="each",
    )
