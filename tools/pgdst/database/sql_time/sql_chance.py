"""SQL whose value depends on the machine's clock, on chance or on the server's own state, and what to write instead.

A text is read token by token, so names in comments and strings do not count, except in the strings that PL/pgSQL's
EXECUTE gets.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from pgdst.database.sql_time.sql_tokens import Token, tokens

INSTALL = "set sql_determinism = true in [tool.pgdst], and a simulation drives it"
KEEP_OUT = "it differs from run to run: keep it out of what is stored, answered or decided"
DRAW = "let the application draw it, from a seeded source"
SLEEP = "it waits for the machine's clock: let the application wait, by the simulated one"
UUID = "use gen_random_uuid()"

# Postgres parses these as they are and looks up no function, so nothing can stand in for them.
KEYWORDS = {
    "current_date": "write now()::date",
    "current_time": "write now()::timetz",
    "current_timestamp": "write now()",
    "localtime": "write now()::time",
    "localtimestamp": "write now()::timestamp",
}
# Those that sql_determinism.sql replaces. Of age(), those alone that are given one time, and count from today.
AGE = "age"
SIMULATED = {
    "now": INSTALL,
    "transaction_timestamp": INSTALL,
    "statement_timestamp": INSTALL,
    "clock_timestamp": INSTALL,
    "timeofday": INSTALL,
    AGE: INSTALL,
    "random": INSTALL,
    "random_normal": INSTALL,
    "gen_random_uuid": INSTALL,
}
BUILT_IN = {
    "array_sample": "order by random() and take the first",
    "array_shuffle": "order by random()",
    "inet_client_addr": KEEP_OUT,
    "inet_client_port": KEEP_OUT,
    "inet_server_addr": KEEP_OUT,
    "inet_server_port": KEEP_OUT,
    "pg_backend_pid": KEEP_OUT,
    "pg_conf_load_time": KEEP_OUT,
    "pg_current_snapshot": KEEP_OUT,
    "pg_current_wal_flush_lsn": KEEP_OUT,
    "pg_current_wal_insert_lsn": KEEP_OUT,
    "pg_current_wal_lsn": KEEP_OUT,
    "pg_current_xact_id": KEEP_OUT,
    "pg_current_xact_id_if_assigned": KEEP_OUT,
    "pg_postmaster_start_time": KEEP_OUT,
    "pg_sleep": SLEEP,
    "pg_sleep_for": SLEEP,
    "pg_sleep_until": SLEEP,
    "pg_xact_commit_timestamp": KEEP_OUT,
    "txid_current": KEEP_OUT,
    "txid_current_if_assigned": KEEP_OUT,
    "txid_current_snapshot": KEEP_OUT,
}
# Of uuid-ossp and pgcrypto, in whatever schema they are.
OF_EXTENSIONS = {
    "gen_random_bytes": DRAW,
    "gen_salt": DRAW,
    "uuid_generate_v1": UUID,
    "uuid_generate_v1mc": UUID,
    "uuid_generate_v4": UUID,
}
SAMPLE = "tablesample"
OTHERS = {SAMPLE: "add REPEATABLE"}

WORDS_FOR_NOW = {"now": "now()", "today": "now()::date", "tomorrow": "now()::date + 1", "yesterday": "now()::date - 1"}
TYPES_OF_TIME = {"date", "time", "timetz", "timestamp", "timestamptz"}
TYPE_BEFORE = TYPES_OF_TIME | {"zone"}  # timestamp with time zone 'now'
# A name with a parenthesis behind it is no call after one of these words.
NO_CALL_AFTER = {"into", "table", "references", "function", "procedure"}


@dataclass(frozen=True)
class Chance:
    """One such place: its name, its offset in the text, and what to do."""

    what: str
    start: int
    remedy: str


def functions(*, simulated: bool) -> dict[str, str]:
    """Return the functions, name → what to do; where the database is `simulated`, without those that it replaces."""
    return {**BUILT_IN, **OF_EXTENSIONS, **({} if simulated else SIMULATED)}


def scan(sql: str, *, simulated: bool) -> Iterator[Chance]:
    """Yield the places in the text of statements or of a function's body whose value is not determined."""
    yield from _scan(sql, 0, functions(simulated=simulated))


def literals(sql: str) -> Iterator[Chance]:
    """Yield only the places without a function or keyword: `'now'::timestamptz` and its like, and samples of tables."""
    found = list(tokens(sql))
    for place, token in enumerate(found):
        if token.kind == "string" and token.text.strip().lower() in WORDS_FOR_NOW and _is_time(found, place):
            name = token.text.strip().lower()
            yield Chance(f"'{name}'", token.start, f"write {WORDS_FOR_NOW[name]}")
        if token == Token("word", SAMPLE, token.start) and not _is_repeatable(found, place):
            yield Chance(SAMPLE, token.start, OTHERS[SAMPLE])


def _scan(sql: str, offset: int, named: Mapping[str, str]) -> Iterator[Chance]:
    found = list(tokens(sql))
    yield from (Chance(one.what, offset + one.start, one.remedy) for one in literals(sql))
    executing = False
    for place, token in enumerate(found):
        if token.kind == "string" and executing:
            yield from _scan(token.text, offset + token.start, named)
        elif token.kind == "word" and token.text in KEYWORDS and not _is_name(found, place):
            yield Chance(token.text, offset + token.start, KEYWORDS[token.text])
        elif token.kind in ("word", "quoted") and token.text in named and _is_call(found, place):
            yield Chance(token.text, offset + token.start, named[token.text])
        elif token.text in ("execute", ";"):
            executing = token.text == "execute"


def _text(found: list[Token], place: int) -> str:
    """Return a token's text, or nothing before the first and behind the last; a string has none that counts."""
    return found[place].text if 0 <= place < len(found) and found[place].kind != "string" else ""


def _is_name(found: list[Token], place: int) -> bool:
    """Tell whether a keyword stands where it is a column's name."""
    return _text(found, place - 1) in (".", "as")


def _is_call(found: list[Token], place: int) -> bool:
    if _text(found, place + 1) != "(" or _text(found, place - 1) in NO_CALL_AFTER:
        return False
    name, schema = found[place].text, _text(found, place - 2) if _text(found, place - 1) == "." else ""
    if schema and schema != "pg_catalog" and name not in OF_EXTENSIONS:
        return False  # a function of the application's own, which is looked at itself
    return name != AGE or _arguments(found, place + 1) == 1


def _arguments(found: list[Token], opening: int) -> int:
    """Return how many arguments are in the parentheses."""
    depth, commas = 0, 0
    for token in found[opening:]:
        text = "" if token.kind == "string" else token.text
        depth += (text in ("(", "[")) - (text in (")", "]"))
        commas += text == "," and depth == 1
        if depth == 0:
            break
    return commas + 1


def _is_time(found: list[Token], place: int) -> bool:
    """Tell whether a string is cast to a time.

    As in `date 'now'`, `date('now')`, `'now'::date`, `('now'::text)::date` and `CAST ('now' AS date)`.
    """
    before = _text(found, place - 1)
    if before in TYPE_BEFORE or (before == "(" and _text(found, place - 2) in TYPES_OF_TIME):
        return True
    following = (_text(found, at) for at in range(place + 1, place + 9))
    for mark, after in pairwise(text for text in following if text not in (".", "pg_catalog")):
        if mark in ("::", "as"):
            if after in TYPES_OF_TIME:
                return True
        elif mark not in (")", "text"):
            return False
    return False


def _is_repeatable(found: list[Token], place: int) -> bool:
    """Tell whether REPEATABLE follows `TABLESAMPLE method (…)`."""
    depth = 0
    for at in range(place + 1, len(found)):
        text = _text(found, at)
        depth += (text == "(") - (text == ")")
        if text == ")" and depth == 0:
            return _text(found, at + 1) == "repeatable"
    return False
