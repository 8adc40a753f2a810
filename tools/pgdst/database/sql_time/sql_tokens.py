"""The tokens of SQL and PL/pgSQL: which are words, and which only stand in a comment or a string.

Not pglast's scanner, which is Postgres's own and well kept: it is under the GPL 3, takes 32 MB, and refuses a text that
ends within a string.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

TOKENS = re.compile(
    r"""
    (?P<space> \s+ | --[^\n]* )
  | (?P<comment> /\* )
  | (?P<dollar> \$ (?P<tag> (?: [A-Za-z_\x80-\U0010ffff] [\w\x80-\U0010ffff]* )? ) \$ )
  | (?P<escaped> [eE] ' (?: [^'\\] | '' | \\. )* (?: ' | \Z ) )
  | (?P<string> (?: [bBxXnN] | [uU]& )? ' (?: [^'] | '' )* (?: ' | \Z ) )
  | (?P<quoted> (?: [uU]& )? " (?: [^"] | "" )* (?: " | \Z ) )
  | (?P<word> [A-Za-z_\x80-\U0010ffff] [\w$\x80-\U0010ffff]* )
  | (?P<number> \d [\w.]* )
  | (?P<symbol> :: | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_PARAMETER = re.compile(r"\$(\d+)")
COMMENT_ENDS = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Token:
    """A token: `kind` is word, quoted, string, number or symbol; `start` its place in the text.

    `text` is a word in lower case, or the content of a string or quoted name, in which escapes are left as they are.
    """

    kind: str
    text: str
    start: int


def tokens(sql: str) -> Iterator[Token]:
    """Yield the tokens of a text, without comments; the end of the text ends a string or comment."""
    place = 0
    while found := TOKENS.match(sql, place):
        start, place, kind = place, found.end(), found.lastgroup
        text = found[0]
        if kind == "comment":
            place = _after_comment(sql, place)
        elif found["dollar"] is not None:
            inside, place = place, _find(sql, text, place)
            yield Token("string", sql[inside:place], start)
            place = min(place + len(text), len(sql))
        elif kind in ("string", "escaped"):
            yield Token("string", text[text.index("'") + 1 :].removesuffix("'").replace("''", "'"), start)
        elif kind == "quoted":
            yield Token("quoted", text[text.index('"') + 1 :].removesuffix('"').replace('""', '"'), start)
        elif kind == "word":
            yield Token("word", text.lower(), start)
        elif kind != "space":
            yield Token(str(kind), text, start)


def _after_comment(sql: str, place: int) -> int:
    """Return where the comment ends that has begun before `place`: comments nest."""
    depth = 1
    for mark in COMMENT_ENDS.finditer(sql, place):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(sql)


def _find(sql: str, what: str, place: int) -> int:
    found = sql.find(what, place)
    return len(sql) if found < 0 else found


def with_parameters(sql: str, parameters: Sequence[str]) -> str:
    """Return a text with `$1`, `$2` … replaced by these, but not in strings and comments."""
    parts, end = [], 0
    for first, second in pairwise(tokens(sql)) if parameters else ():
        found = _PARAMETER.match(sql, first.start) if first.text == "$" and second.kind == "number" else None
        if found is not None and 0 < int(found[1]) <= len(parameters):
            parts += [sql[end : first.start], parameters[int(found[1]) - 1]]
            end = found.end()
    return "".join([*parts, sql[end:]])
