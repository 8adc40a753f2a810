"""The files of a distinct failure: itself as `.pgdst/failures` has it, what is told of it, and the page of its run."""

import json
from dataclasses import asdict
from pathlib import Path

from pgdst.pytest.failures import Failure
from pgdst.search.folder import Folder, Identity
from pgdst.search.kept import LONGEST, PAGE, REPORT
from pgdst.search.plan import Place
from pgdst.search.workers import Message


def keep(folder: Folder, identity: Identity, shard: int, place: Place, result: Message) -> None:
    """Keep the failure of a shard's result in the folder."""
    found = result["failure"]
    names = ("id", "check", "code", "wrong", "happened", "lanes", "report")
    texts = {name: found[name][:LONGEST] for name in names}
    failure = Failure(place.seed, place.index, identity.profile, identity.examples, identity.faults, texts["wrong"])
    # With "test" it is no failed shard for whoever copies it into .pgdst/failures by hand.
    run = json.loads(Path(found["page"]).with_suffix(".json").read_text(encoding="utf-8")) if found["page"] else None
    report = {"test": result["shard"]["where"], "shard": shard} | texts | {"run": run}
    files = {".json": json.dumps(asdict(failure), indent=2), REPORT: json.dumps(report, indent=2)}
    if found["page"]:
        files[PAGE] = Path(found["page"]).read_text(encoding="utf-8")
    folder.keep(found["id"], files)
