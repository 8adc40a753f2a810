"""Lost updates."""

from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bug_patterns.pattern import Client, Pattern, Work, ask, do, read_then_write, statements, two, tx


def _lock_after_reading(connection: Connection) -> None:
    found = ask(connection, "SELECT balance FROM accounts WHERE id = 1")
    do(connection, "SELECT FROM accounts WHERE id = 1 FOR UPDATE")
    do(connection, "UPDATE accounts SET balance = :new WHERE id = 1", new=found + 1)


def _versioned(*, looks: bool) -> Work:
    def work(connection: Connection) -> None:
        version = ask(connection, "SELECT version FROM accounts WHERE id = 1")
        changed = do(connection, "UPDATE accounts SET version = version + 1 WHERE id = 1 AND version = :v", v=version)
        if changed or not looks:
            do(connection, "INSERT INTO log VALUES ('changed')")

    return work


class Base(DeclarativeBase):
    """Tables for the ORM."""


class Account(Base):
    """An account."""

    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


def _stale(*, refreshed: bool) -> Client:
    def client(engine: Engine) -> None:
        with Session(engine) as session, session.begin():
            account = session.get(Account, 1)
            assert account is not None
            session.execute(text("SELECT FROM accounts WHERE id = 1 FOR UPDATE"))
            if refreshed:
                session.refresh(account)
            account.balance += 1

    return client


def _merge_in_python(key: str) -> Work:
    def work(connection: Connection) -> None:
        body = ask(connection, "SELECT body FROM documents WHERE id = 1")
        do(connection, "UPDATE documents SET body = CAST(:body AS jsonb)", body=str({**body, key: 1}).replace("'", '"'))

    return work


def _toggle(connection: Connection) -> None:
    is_on = ask(connection, "SELECT on_call FROM doctors WHERE name = 'ada'")
    do(connection, "UPDATE doctors SET on_call = :other WHERE name = 'ada'", other=not is_on)


def _newer(value: int) -> Work:
    def work(connection: Connection) -> None:
        if ask(connection, "SELECT last FROM cursors") < value:
            do(connection, "UPDATE cursors SET last = :value", value=value)

    return work


def _advisory(*, to_the_end: bool) -> Work:
    def work(connection: Connection) -> None:
        do(connection, "SELECT pg_advisory_xact_lock(1)" if to_the_end else "SELECT pg_advisory_lock(1)")
        read_then_write()(connection)
        if not to_the_end:
            do(connection, "SELECT pg_advisory_unlock(1)")

    return work


def _as_a_tenant(name: str, how: str) -> Client:
    """Return a client that says whose it is, and works later, in another transaction or in the same."""

    def client(engine: Engine) -> None:
        work = "UPDATE doctors SET on_call = false WHERE name = current_setting('app.tenant')"
        if how == "SET":
            statements(f"SET app.tenant = '{name}'")(engine)
            statements(work)(engine)
        else:
            statements(f"SET LOCAL app.tenant = '{name}'", work)(engine)

    return client


LOST_UPDATES = {
    "read_modify_write": Pattern(
        two(tx(read_then_write())),
        two(statements("UPDATE accounts SET balance = balance + 1 WHERE id = 1")),
        "SELECT balance = 52 FROM accounts WHERE id = 1",
    ),
    "lock_after_reading": Pattern(
        two(tx(_lock_after_reading)),
        two(tx(read_then_write("FOR UPDATE"))),
        "SELECT balance = 52 FROM accounts WHERE id = 1",
    ),
    "rowcount_of_a_version_ignored": Pattern(
        two(tx(_versioned(looks=False))),
        two(tx(_versioned(looks=True))),
        "SELECT version - 1 = (SELECT count(*) FROM log) FROM accounts WHERE id = 1",
    ),
    "stale_identity_map": Pattern(
        two(_stale(refreshed=False)), two(_stale(refreshed=True)), "SELECT balance = 52 FROM accounts WHERE id = 1"
    ),
    "document_merged_in_python": Pattern(
        {"ada": tx(_merge_in_python("a")), "bob": tx(_merge_in_python("b"))},
        {
            "ada": statements("""UPDATE documents SET body = body || '{"a"\\: 1}'"""),
            "bob": statements("""UPDATE documents SET body = body || '{"b"\\: 1}'"""),
        },
        "SELECT body ?& '{a,b}' FROM documents",
    ),
    "flag_toggled_in_python": Pattern(
        two(tx(_toggle)),
        two(statements("UPDATE doctors SET on_call = NOT on_call WHERE name = 'ada'")),
        "SELECT on_call FROM doctors WHERE name = 'ada'",
    ),
    "older_value_written_last": Pattern(
        {"ada": tx(_newer(1)), "bob": tx(_newer(2))},
        {
            "ada": statements("UPDATE cursors SET last = greatest(last, 1)"),
            "bob": statements("UPDATE cursors SET last = greatest(last, 2)"),
        },
        "SELECT last = 2 FROM cursors",
    ),
    "advisory_lock_released_before_commit": Pattern(
        two(tx(_advisory(to_the_end=False))),
        two(tx(_advisory(to_the_end=True))),
        "SELECT balance = 52 FROM accounts WHERE id = 1",
    ),
    "counter_computed_from_rows": Pattern(
        two(
            statements(
                "INSERT INTO guests VALUES (1, 'new')",
                "UPDATE rooms SET guests = (SELECT count(*) FROM guests WHERE room = 1) WHERE id = 1",
            )
        ),
        two(statements("INSERT INTO guests VALUES (1, 'new')", "UPDATE rooms SET guests = guests + 1 WHERE id = 1")),
        "SELECT guests = 2 FROM rooms",
    ),
    "tenants_setting_left_in_the_pool": Pattern(
        {name: _as_a_tenant(name, "SET") for name in ("ada", "bob")},
        {name: _as_a_tenant(name, "SET LOCAL") for name in ("ada", "bob")},
        "SELECT NOT bool_or(on_call) FROM doctors",
        pool_size=1,
    ),
}
