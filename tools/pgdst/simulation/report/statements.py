"""Statements and answers as a person reads them: parameters in their places, rows as names and values."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pgdst.database.sql_time.sql_tokens import Token, tokens
from pgdst.simulation.step import Step, StepKind

if TYPE_CHECKING:
    from pgdst.simulation.gate.rows import Rows

_LOCKS_ROWS: Final = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?(UPDATE|(KEY\s+)?SHARE)\b", re.IGNORECASE)
_ROWS_SHOWN: Final = 3
_ROW_SHOWN: Final = 160  # characters
_VALUE_SHOWN: Final = 24
_NO_NAME: Final = "?column?"  # as Postgres names a column without a name


def answer_of(step: Step) -> str:
    """Return the answer with the first rows, if there are any, in place of their hash."""
    if step.kind is not StepKind.STATEMENT or step.sqlstate:
        return f"{step.answer} {step.error}".strip()
    if step.rows is None:
        return "no rows" if step.answer == "SELECT 0" else step.answer
    tag = step.answer.partition(" #")[0]
    said = rows_in_words(step.rows)
    return said if tag.startswith("SELECT") else f"{tag}, {said}"


def rows_in_words(rows: "Rows") -> str:
    """Return the first rows as names and values."""
    columns = rows.columns
    if not columns or not rows.values:
        return _counted(rows.count)
    shown = [shorten(" ".join(map(_named, columns, row)), _ROW_SHOWN) for row in rows.values[:_ROWS_SHOWN]]
    more = [f"… {_counted(rows.count)}"] if rows.count > len(shown) else []
    return "; ".join([*shown, *more])


def _named(column: str, value: str) -> str:
    return shorten(value) if column == _NO_NAME else f"{column}={shorten(value)}"


def _counted(rows: int) -> str:
    return f"{rows} row{'s' * (rows != 1)}"


def shorten(text: str, most: int = _VALUE_SHOWN) -> str:
    """Return a text without its end if it is longer than so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def locks_rows(statement: str) -> bool:
    """Return whether a SELECT in a statement locks the rows that it reads."""
    return _LOCKS_ROWS.search(statement) is not None


@dataclass
class Tables:
    """The names of the tables that a statement reads and writes, as far as its text says so."""

    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)


def tables_of(statement: str) -> Tables:
    """Return the tables that a statement names."""
    found, words = Tables(), list(tokens(statement))
    calls: list[str] = []  # what stands before each open parenthesis
    for at, token in enumerate(words):
        before = words[at - 1].text if at else ""
        if token.text == "(":
            calls.append(before)
        elif token.text == ")" and calls:
            calls.pop()
        if calls and calls[-1] in _HAVE_A_FROM:
            continue
        if token.kind != "word" or token.text not in _INTRODUCE or before in _INTRODUCE[token.text].not_behind:
            continue
        names = list(_names(words, at + 1))
        into = found.writes if _INTRODUCE[token.text].writes or before == "delete" else found.reads
        into.update(names)
    found.reads -= set(_named_by_with(words))
    return found


def _named_by_with(words: Sequence[Token]) -> Iterator[str]:
    """Yield the names that WITH gives to queries: they are no tables."""
    is_behind = False
    for name, following, third in zip(words, words[1:], words[2:], strict=False):
        is_behind = is_behind or name.text == "with"
        if is_behind and following.text == "as" and third.text in ("(", "not", "materialized"):
            yield name.text


@dataclass(frozen=True)
class _Introduces:
    """What a word before the name of a table means; behind some words it introduces none."""

    writes: bool
    not_behind: frozenset[str] = frozenset()


_INTRODUCE: Final = {
    "from": _Introduces(writes=False, not_behind=frozenset({"distinct"})),
    "join": _Introduces(writes=False),
    "using": _Introduces(writes=False),
    "into": _Introduces(writes=True),
    "update": _Introduces(writes=True, not_behind=frozenset({"for", "do", "key", "on"})),
    "truncate": _Introduces(writes=True),
}
_HAVE_A_FROM: Final = frozenset({"extract", "substring", "trim", "overlay"})  # functions
_NO_NAMES: Final = frozenset({"select", "values", "lateral", "set"})


def _names(words: list[Token], at: int) -> Iterator[str]:
    """Yield the names of the tables in a list that begins at a token."""
    while at < len(words):
        while at < len(words) and words[at].text in ("only", "table"):
            at += 1
        if at >= len(words) or words[at].kind not in ("word", "quoted") or words[at].text in _NO_NAMES:
            return
        name = words[at].text
        while at + 2 < len(words) and words[at + 1].text == "." and words[at + 2].kind in ("word", "quoted"):
            at += 2
            name = f"{name}.{words[at].text}"
        yield name.removeprefix("public.")
        at += 1
        while at < len(words) and words[at].kind in ("word", "quoted") and words[at].text not in _INTRODUCE:
            at += 1  # an alias; a clause's word ends the list, as no comma follows it
            if at < len(words) and words[at].text != ",":
                return
        if at >= len(words) or words[at].text != ",":
            return
        at += 1
