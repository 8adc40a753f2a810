"""Folders of searches, written by hand."""

from pathlib import Path
from typing import Any

from pgdst.search.folder import Folder, Identity
from pgdst.search.plan import Range, Share, place_of

IDENTITY = Identity(7, None, "all", None, 5, "source", "packages", "0.1.0")
FAILURE = "0123456789ab"


def line(shard: int, *, wrong: bool = False, digest: str | None = None) -> dict[str, Any]:
    place = place_of(shard, IDENTITY.seed, IDENTITY.shards_a_run)
    return {
        "shard": shard,
        "seed": place.seed,
        "index": place.index,
        "hash": digest or f"{shard:064x}",
        "lines": 10,
        "examples": 4,
        "states": {"rare": 1} if shard == 3 else {},
        "moves": {"vote": 2},
        "faults": {"crash": 1},
        "seconds": 1.5,
        "failure": FAILURE if wrong else None,
    }


def folder_of(
    path: Path, *lines: dict[str, Any], wanted: str = "", share: str = "1/1", identity: Identity = IDENTITY
) -> Path:
    made = Folder(path)
    with made.locked():
        made.begin(identity, Range.parse(wanted) if wanted else Range(), Share.parse(share))
        made.declare({"states": ["never", "rare"], "moves": ["vote"]})
        for one in lines:
            made.append(one)
    return path
