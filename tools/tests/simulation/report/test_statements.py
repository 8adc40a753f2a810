"""Statements and answers as a person reads them, and the tables that a statement names."""

import struct

import pytest
from pgdst.simulation.gate.rows import Rows
from pgdst.simulation.report.statements import answer_of, rows_in_words, tables_of
from pgdst.simulation.step import Step, StepKind


def described(*columns: tuple[str, int]) -> bytes:
    """Return the body of a RowDescription: each column a name and the oid of its type, as text."""
    parts = [name.encode() + b"\0" + struct.pack("!ihIhih", 0, 0, kind, -1, -1, 0) for name, kind in columns]
    return struct.pack("!H", len(parts)) + b"".join(parts)


def row(*values: bytes | None) -> bytes:
    parts = [struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one for one in values]
    return struct.pack("!H", len(parts)) + b"".join(parts)


def rows(body: bytes, *found: bytes, formats: tuple[int, ...] = ()) -> Rows:
    made = Rows(body, formats)
    for one in found:
        made.add(one)
    return made


def test_parameters_stand_in_their_places_but_not_in_strings() -> None:
    step = Step(1, "ada", "", "", statement="SELECT '$1', $2, $10, $1", parameters=("'a'", "5"))
    assert "SELECT '$1', 5, $10, 'a'" == step.text


def test_rows_are_names_and_values() -> None:
    """Text is in quotes, a column without a name has none, and of many rows the first are shown."""
    assert "id=1 name='ada'" == rows_in_words(rows(described(("id", 23), ("name", 25)), row(b"1", b"ada")))
    assert "t; NULL" == rows_in_words(rows(described(("?column?", 16)), row(b"t"), row(None)))
    many = rows(described(("n", 23)), *(row(b"%d" % number) for number in range(9)))
    assert "n=0; n=1; n=2; … 9 rows" == rows_in_words(many)
    assert "2 rows" == rows_in_words(rows(b"", row(b"1"), row(b"2")))


def test_binary_values_are_decoded_by_the_formats_that_were_asked_for() -> None:
    found = rows(described(("id", 23), ("name", 25)), row(struct.pack("!i", 7), b"ada"), formats=(1,))
    assert "id=7 name='ada'" == rows_in_words(found)
    mixed = rows(described(("id", 23), ("name", 25)), row(struct.pack("!i", 7), b"ada"), formats=(1, 0))
    assert "id=7 name='ada'" == rows_in_words(mixed)


@pytest.mark.parametrize("body", [b"\0", b"\0\2id\0", described(("id", 23))[:-1]])
def test_a_description_that_is_broken_is_none(body: bytes) -> None:
    assert "1 row" == rows_in_words(rows(body, row(b"1")))


def test_an_answer_has_its_rows_or_its_error() -> None:
    one = rows(described(("id", 23)), row(b"1"))
    assert "id=1" == answer_of(Step(1, "ada", "", f"SELECT 1 #{one.digest}", rows=one))
    assert "INSERT 0 1, id=1" == answer_of(Step(1, "ada", "", f"INSERT 0 1 #{one.digest}", rows=one))
    assert "no rows" == answer_of(Step(1, "ada", "", "SELECT 0"))
    assert "23505 it is there" == answer_of(Step(1, "ada", "", "23505", sqlstate="23505", error="it is there"))
    assert "waits for bob" == answer_of(Step(1, "ada", "", "waits for bob", kind=StepKind.WAITS))


@pytest.mark.parametrize(
    ("statement", "reads", "writes"),
    [
        ("SELECT a FROM t, s.u AS x JOIN v ON true WHERE a IN (SELECT b FROM w)", "t s.u v w", ""),
        ("SELECT FROM public.t", "t", ""),
        ("SELECT FROM ONLY t FOR UPDATE", "t", ""),
        ("INSERT INTO t SELECT 1 FROM u ON CONFLICT DO UPDATE SET a = 1", "u", "t"),
        ("UPDATE t SET a = (SELECT max(b) FROM u) FROM v", "u v", "t"),
        ("DELETE FROM t USING u", "u", "t"),
        ("WITH x AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM x", "", "t u"),
        ("SELECT extract(year FROM t), trim(both FROM (u)), (SELECT max(a) FROM v)", "v", ""),
        ("SELECT 'FROM t', a IS DISTINCT FROM b -- FROM u", "", ""),
        ('TRUNCATE TABLE "T", u', "", "T u"),
        ("COMMIT", "", ""),
        ("SELECT FROM", "", ""),
    ],
)
def test_the_tables_of_a_statement(statement: str, reads: str, writes: str) -> None:
    found = tables_of(statement)
    assert (set(reads.split()), set(writes.split())) == (found.reads, found.writes)
