"""The extensions by which the offline image and the official image differ.

A migration that creates one of them succeeds on one image and fails on the other.
"""

import re

from pgdst.server.embedded import wheel

# Source: Postgres 16's documentation, appendix F. The official image has all of them, and plpgsql.
_CONTRIB = """
    adminpack amcheck autoinc bloom btree_gin btree_gist citext cube dblink dict_int dict_xsyn earthdistance file_fdw
    fuzzystrmatch hstore insert_username intagg intarray isn lo ltree moddatetime old_snapshot pageinspect
    pg_buffercache pg_freespacemap pg_prewarm pg_stat_statements pg_surgery pg_trgm pg_visibility pg_walinspect pgcrypto
    pgrowlocks pgstattuple plpgsql postgres_fdw refint seg sslinfo tablefunc tcn tsm_system_rows tsm_system_time
    unaccent uuid-ossp xml2
"""
OFFICIAL = frozenset(_CONTRIB.split())
NOTABLE = ("btree_gist", "citext", "hstore", "pg_stat_statements", "pg_trgm", "pgcrypto", "unaccent", "uuid-ossp")


def offline() -> frozenset[str]:
    """Return the extensions of the offline image, which are the wheel's. Raises: EmbeddedError without the wheel."""
    folder = wheel.find() / "pginstall" / "share" / "postgresql" / "extension"
    return frozenset(control.stem for control in folder.glob("*.control"))


def lacking(words: str) -> str:
    """Return what to do where an error message of Postgres says that the wheel's Postgres lacks an extension.

    An empty string for any other error, and for another Postgres: its extensions are not known here.
    """
    found = re.search(r'extension "([^"]+)" is not available', words)
    if found is None or wheel.PACKAGE not in words:
        return ""
    name = found[1]
    if name not in OFFICIAL:
        return f"The official image lacks {name} as well: give an image that has it with IMAGE=."
    instead = " gen_random_uuid() needs no extension." if name in ("pgcrypto", "uuid-ossp") else ""
    return (
        f"This is no fault of the migration: the official image has {name}; the offline image and the embedded engine "
        f"have {' and '.join(sorted(offline()))} alone. Bring the official image here (docker pull, docker load, or "
        f"a mirror's name in IMAGE=), or do without the extension.{instead}"
    )


def differences() -> str:
    """Return the differences in one sentence. Raises: EmbeddedError without the wheel."""
    own = offline()
    more, fewer = ", ".join(sorted(own - OFFICIAL)), ", ".join(name for name in NOTABLE if name not in own)
    return f"The offline image has {more}, which the official one lacks, and lacks its {fewer} and other extensions."
