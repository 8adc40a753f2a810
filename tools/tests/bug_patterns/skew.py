"""Skew, and snapshots."""

from sqlalchemy import Connection, text

from bug_patterns.pattern import RR, SERIALIZABLE, Client, Pattern, ask, do, retrying, statements, two, tx


def _goes_off(name: str, level: str | None, lock: str = "") -> Client:
    def work(connection: Connection) -> None:
        if len(connection.execute(text(f"SELECT name FROM doctors WHERE on_call ORDER BY name {lock}")).all()) == 2:
            do(connection, "UPDATE doctors SET on_call = false WHERE name = :name", name=name)

    return tx(work, level)


def _report(level: str | None) -> Client:
    def work(connection: Connection) -> None:
        total = sum(ask(connection, "SELECT balance FROM accounts WHERE id = :id", id=one) for one in (1, 2))
        do(connection, "INSERT INTO log VALUES (:total)", total=str(total))

    return tx(work, level)


TRANSFER = statements(
    "UPDATE accounts SET balance = balance - 10 WHERE id = 1", "UPDATE accounts SET balance = balance + 10 WHERE id = 2"
)


def _tag_id(level: str | None) -> Client:
    def work(connection: Connection) -> None:
        do(connection, "SELECT FROM log")
        do(connection, "INSERT INTO unique_tags VALUES ('new') ON CONFLICT DO NOTHING")
        found = connection.execute(text("SELECT name FROM unique_tags WHERE name = 'new'")).one()
        do(connection, "INSERT INTO log VALUES (:name)", name=found.name)

    return tx(work, level)


SKEW = {
    "write_skew": Pattern(
        {"ada": _goes_off("ada", RR), "bob": _goes_off("bob", RR)},
        {"ada": _goes_off("ada", SERIALIZABLE), "bob": _goes_off("bob", SERIALIZABLE)},
        "SELECT count(*) = 1 FROM doctors WHERE on_call",
        rightly={"expected_errors": ["40001"]},
    ),
    "last_one_leaves": Pattern(
        {"ada": _goes_off("ada", None), "bob": _goes_off("bob", None)},
        {"ada": _goes_off("ada", None, "FOR UPDATE"), "bob": _goes_off("bob", None, "FOR UPDATE")},
        "SELECT count(*) = 1 FROM doctors WHERE on_call",
    ),
    "read_skew_in_a_report": Pattern(
        {"ada": TRANSFER, "bob": _report(None)},
        {"ada": TRANSFER, "bob": _report(RR)},
        "SELECT bool_and(line = '100') FROM log",
    ),
    "do_nothing_that_reads_nothing": Pattern(two(_tag_id(RR)), two(_tag_id(None))),
    "serializable_without_a_retry": Pattern(
        {"ada": _goes_off("ada", SERIALIZABLE), "bob": _goes_off("bob", SERIALIZABLE)},
        {"ada": retrying(_goes_off("ada", SERIALIZABLE)), "bob": retrying(_goes_off("bob", SERIALIZABLE))},
        "SELECT count(*) = 1 FROM doctors WHERE on_call",
    ),
    "read_skew_without_a_question": Pattern(
        {"ada": _report(None), "bob": TRANSFER}, {"ada": _report(RR), "bob": TRANSFER}
    ),
}
