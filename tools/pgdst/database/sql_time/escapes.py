"""Escapes: places in a schema whose value a simulation does not control; sql_chance.py lists their causes.

Defaults, constraints, views and other parsed expressions are judged by the oids of the functions that they call, not by
spelling. A function's body is text until it runs, so it is read token by token. Not examined: extensions, functions in
other languages, and the statements of the application.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psycopg

from pgdst.database.rewind.baseline import FIRST_OF_USERS
from pgdst.database.sql_time.sql_chance import AGE, KEYWORDS, OF_EXTENSIONS, Chance, functions, literals, scan
from pgdst.database.sql_time.sql_determinism import SCHEMA, is_installed

WIDTH = 100  # characters of an expression that are shown

# How Postgres writes a parsed expression (nodes/outfuncs.c). In a name a space has a backslash before it, and a string
# is a list of numbers, so nothing else reads like this.
NODES = re.compile(r":funcid (?P<function>\d+)|\{SQLVALUEFUNCTION :op (?P<keyword>\d+)")
# By their numbers in SQLValueFunctionOp (nodes/primnodes.h): with a precision and without.
SQL_VALUES = (
    "current_date", "current_time", "current_time", "current_timestamp", "current_timestamp",
    "localtime", "localtime", "localtimestamp", "localtimestamp",
)  # fmt: skip

# What is held by which object: the object's catalogue and oid, those of what may belong to an extension, and the
# expressions as Postgres prints them and as it keeps them.
HELD = """
    SELECT 'pg_attrdef'::regclass, oid, 'pg_class'::regclass, adrelid, pg_get_expr(adbin, adrelid), adbin::text
        FROM pg_attrdef
    UNION ALL SELECT 'pg_constraint'::regclass, oid, 'pg_constraint'::regclass, oid, pg_get_constraintdef(oid),
        conbin::text FROM pg_constraint WHERE conbin IS NOT NULL
    UNION ALL SELECT 'pg_type'::regclass, oid, 'pg_type'::regclass, oid, pg_get_expr(typdefaultbin, 0),
        typdefaultbin::text FROM pg_type WHERE typdefaultbin IS NOT NULL
    UNION ALL SELECT 'pg_class'::regclass, indexrelid, 'pg_class'::regclass, indrelid, pg_get_indexdef(indexrelid),
        concat(indexprs, indpred) FROM pg_index WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
    UNION ALL SELECT 'pg_class'::regclass, partrelid, 'pg_class'::regclass, partrelid, pg_get_partkeydef(partrelid),
        partexprs::text FROM pg_partitioned_table WHERE partexprs IS NOT NULL
    UNION ALL SELECT 'pg_class'::regclass, ev_class, 'pg_class'::regclass, ev_class, pg_get_viewdef(ev_class),
        ev_action::text FROM pg_rewrite WHERE rulename = '_RETURN'
    UNION ALL SELECT 'pg_rewrite'::regclass, oid, 'pg_class'::regclass, ev_class, pg_get_ruledef(oid),
        concat(ev_qual, ev_action) FROM pg_rewrite WHERE rulename <> '_RETURN'
    UNION ALL SELECT 'pg_trigger'::regclass, oid, 'pg_class'::regclass, tgrelid, pg_get_triggerdef(oid), tgqual::text
        FROM pg_trigger WHERE tgqual IS NOT NULL
    UNION ALL SELECT 'pg_policy'::regclass, oid, 'pg_class'::regclass, polrelid,
        concat_ws(' ', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)),
        concat(polqual, polwithcheck) FROM pg_policy
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, 'pg_class'::regclass, stxrelid, pg_get_statisticsobjdef(oid),
        stxexprs::text FROM pg_statistic_ext WHERE stxexprs IS NOT NULL
    UNION ALL SELECT 'pg_proc'::regclass, oid, 'pg_proc'::regclass, oid,
        concat_ws(' ', pg_get_function_arguments(oid), pg_get_function_sqlbody(oid)),
        concat(proargdefaults, prosqlbody) FROM pg_proc WHERE proargdefaults IS NOT NULL OR prosqlbody IS NOT NULL
"""
# The same for functions whose bodies are text.
BODIES = """
    SELECT 'pg_proc'::regclass, p.oid, 'pg_proc'::regclass, p.oid, prosrc, ''
    FROM pg_proc p JOIN pg_language l ON l.oid = prolang WHERE prosqlbody IS NULL AND lanname IN ('sql', 'plpgsql')
"""
# Neither what came with Postgres, nor what belongs to an extension, nor the kit's own.
OWN = """
    SELECT pg_describe_object(class, oid, 0) AS object, shown, parsed
    FROM ({}) AS held (class, oid, owner_class, owner, shown, parsed)
    WHERE oid >= {} AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = owner_class AND d.objid = owner AND d.deptype = 'e'
    ) AND NOT EXISTS (
        SELECT FROM pg_proc p WHERE class = 'pg_proc'::regclass AND p.oid = held.oid
            AND pronamespace = to_regnamespace(%s)
    )
    ORDER BY object
"""
FUNCTIONS = """
    SELECT oid::bigint, proname::text FROM pg_proc
    WHERE proname = ANY (%(names)s) AND (pronamespace = 'pg_catalog'::regnamespace OR proname = ANY (%(anywhere)s))
        AND (proname <> %(age)s OR pronargs = 1 AND proargtypes[0] <> 'xid'::regtype)
"""


@dataclass(frozen=True)
class Escape:
    """One escape: the object it is in, what it is, where it stands, and what to do."""

    object: str
    what: str
    where: str
    remedy: str

    def line(self) -> str:
        """Return it as one line."""
        return f"{self.object}: {self.what}, in `{self.where}`: {self.remedy}"


def escapes(connection: psycopg.Connection) -> list[Escape]:
    """Return the escapes in a database's own schema, in the order of the objects' names.

    Where the sql clock is installed, now(), random() and their like are no escapes.
    """
    simulated = is_installed(connection)
    return [
        *_in_parsed(_own(connection, HELD), _functions(connection, functions(simulated=simulated))),
        *_in_bodies(_own(connection, BODIES), simulated=simulated),
    ]


def _own(connection: psycopg.Connection, held: str) -> list[tuple[str, str, str]]:
    return connection.execute(OWN.format(held, FIRST_OF_USERS).encode(), (SCHEMA,)).fetchall()


def _functions(connection: psycopg.Connection, named: dict[str, str]) -> dict[int, Chance]:
    """Return what calls to functions are, by their oids."""
    parameters = {"names": list(named), "anywhere": list(OF_EXTENSIONS), "age": AGE}
    return {oid: Chance(name, 0, named[name]) for oid, name in connection.execute(FUNCTIONS, parameters)}


def _in_parsed(rows: Iterable[tuple[str, str, str]], called: dict[int, Chance]) -> Iterator[Escape]:
    for name, shown, parsed in rows:
        yield from _distinct(name, shown, [*_nodes(shown, parsed, called), *literals(shown)])


def _nodes(shown: str, parsed: str, called: dict[int, Chance]) -> Iterator[Chance]:
    for node in NODES.finditer(parsed):
        if node["function"] and (found := called.get(int(node["function"]))):
            yield Chance(found.what, _place(found.what, shown), found.remedy)
        elif node["keyword"] and int(node["keyword"]) < len(SQL_VALUES):
            keyword = SQL_VALUES[int(node["keyword"])]
            yield Chance(keyword, _place(keyword, shown), KEYWORDS[keyword])


def _place(name: str, shown: str) -> int:
    found = re.search(rf"\b{name}\b", shown, re.IGNORECASE)
    return found.start() if found else 0


def _in_bodies(rows: Iterable[tuple[str, str, str]], *, simulated: bool) -> Iterator[Escape]:
    for name, body, _ in rows:
        yield from _distinct(name, body, scan(body, simulated=simulated))


def _distinct(name: str, text: str, found: Iterable[Chance]) -> Iterator[Escape]:
    """Yield each once a line, in the order of the text."""
    every = (Escape(name, one.what, _line(text, one.start), one.remedy) for one in sorted(found, key=_start))
    yield from dict.fromkeys(every)


def _start(chance: Chance) -> int:
    return chance.start


def _line(text: str, start: int) -> str:
    """Return the line of a text around a place in it."""
    before, after = text.rfind("\n", 0, start) + 1, text.find("\n", start)
    line = " ".join(text[before : len(text) if after < 0 else after].split())
    return line if len(line) <= WIDTH else f"{line[:WIDTH]} …"
