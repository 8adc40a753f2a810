"""The report of a merged search: plain data, a page that needs no network, and a text."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from pgdst.pytest.failures import Failure
from pgdst.pytest.replay import of_a_shard
from pgdst.search.folder import KINDS
from pgdst.search.kept import FAILURES, PAGE, REPORT, read_failure, read_report
from pgdst.search.merging import Merged
from pgdst.search.plan import Place, span
from pgdst.simulation.report.record import in_a_page

VERSION: Final = 1  # of the format
FOUND, DIFFERS, INCOMPLETE = 1, 3, 4  # exit statuses, beside 0
_SLOWEST: Final = 20
_MOST_SHARDS: Final = 100  # of a failure that are named

Told = dict[str, Any]


def status_of(merged: Merged, *, partial: bool) -> int:
    """Return the exit status: a determinism failure comes before a failure, and that before missing shards."""
    if merged.differing:
        return DIFFERS
    if merged.failures:
        return FOUND
    return INCOMPLETE if not (partial or merged.is_complete()) else 0


class Report:
    """The report of a merged search. `told` is its data."""

    def __init__(self, merged: Merged) -> None:
        self._merged = merged
        self._kept: dict[str, tuple[Failure, Told]] = {}
        for failure in merged.failures:
            self._find(failure)
        self.told = self._tell()

    def write(self, to: Path) -> None:
        """Write the page, the data and the failures."""
        (to / FAILURES).mkdir(parents=True, exist_ok=True)
        for failure, (one, told) in self._kept.items():
            _write(to / FAILURES / f"{failure}.json", json.dumps(asdict(one), indent=2))
            _write(to / FAILURES / f"{failure}{REPORT}", json.dumps(told, indent=2))
            if told.get("run"):
                _write(to / FAILURES / f"{failure}{PAGE}", in_a_page(told["run"]))
        _write(to / "report.json", json.dumps(self.told, indent=2))
        page = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
        # It stands in a script element.
        _write(to / "report.html", page.replace("/*report*/null", json.dumps(self.told).replace("<", "\\u003c")))

    def _find(self, failure: str) -> None:
        """Find the files of a failure: of several folders' those of the first shard."""
        found = []
        for folder in self._merged.folders:
            file = folder / FAILURES / f"{failure}.json"
            if file.exists():
                report = read_report(file.with_name(f"{failure}{REPORT}"))
                found.append((read_failure(file), report))
        if found:
            self._kept[failure] = min(found, key=lambda one: (one[0].seed, one[0].shard))

    # The data.

    def _tell(self) -> Told:
        merged = self._merged
        seconds = [one.seconds for one in merged.shards.values()]
        return {
            "version": VERSION,
            "search": asdict(merged.identity),
            "folders": [str(folder) for folder in merged.folders],
            "shards": len(merged.shards),
            "last": max(merged.shards, default=None),
            "examples": merged.examples,
            "lines": merged.lines,
            "seconds": {"sum": round(sum(seconds), 1), "median": round(median(seconds), 3) if seconds else 0},
            "missing": [[one.first, one.last] for one in merged.missing],
            "missing_shares": list(map(str, merged.missing_shares)),
            "differing": list(self._differing()),
            "failures": [self._failure(failure) for failure in sorted(merged.failures, key=self._first)],
            "faults": dict(sorted(merged.faults.items())),
            "coverage": {kind: list(self._coverage(kind)) for kind in KINDS},
            "slowest": list(self._slowest()),
        }

    def _first(self, failure: str) -> int:
        return self._merged.failures[failure][0]

    def _differing(self) -> Iterator[Told]:
        for shard, hashes in sorted(self._merged.differing.items()):
            folders = {digest: list(map(str, folders)) for digest, folders in hashes.items()}
            yield self._named(shard) | {"hashes": folders}

    def _failure(self, failure: str) -> Told:
        shards = self._merged.failures[failure]
        told = self._named(shards[0])
        texts: Told = dict.fromkeys(("check", "code", "wrong", "happened", "lanes", "report"), "")
        page = None
        if failure in self._kept:
            kept, report = self._kept[failure]
            told["replay"] = self._replay(Place(kept.seed, kept.shard))
            texts |= {name: text for name, text in report.items() if name in texts} | {"wrong": kept.wrong}
            page = f"{FAILURES}/{failure}{PAGE}" if report.get("run") else None
        counts = {"id": failure, "count": len(shards), "shards": shards[:_MOST_SHARDS]}
        return told | counts | texts | {"page": page}

    def _coverage(self, kind: str) -> Iterator[Told]:
        for name, reached in sorted(self._merged.coverage[kind].items()):
            yield {"name": name} | asdict(reached)

    def _slowest(self) -> Iterator[Told]:
        slowest = sorted(self._merged.shards.items(), key=lambda one: (-one[1].seconds, one[0]))
        for shard, done in slowest[:_SLOWEST]:
            yield self._named(shard) | {"seconds": done.seconds, "failure": done.failure}

    def _named(self, shard: int) -> Told:
        place = self._merged.place(shard)
        return {"shard": shard, "seed": place.seed, "index": place.index, "replay": self._replay(place)}

    def _replay(self, place: Place) -> str:
        about = self._merged.identity
        return of_a_shard(place.seed, place.index, about.profile, about.examples, about.faults)


def in_words(told: Told) -> Iterator[str]:
    """Yield the lines of a report for a terminal, which are Markdown, too."""
    about, seconds = told["search"], told["seconds"]["sum"]
    yield f"Search of seed {about['seed']}: {told['shards']} shards, {told['examples']} examples, {seconds:.0f} s."
    for kind, names in told["coverage"].items():
        never = [one["name"] for one in names if not one["shards"]]
        if names:
            yield f"- {len(names) - len(never)} of {len(names)} {kind} reached; never: {', '.join(never) or 'none'}"
    for one in told["differing"]:
        yield f"- NOT DETERMINISTIC: shard {one['shard']} has different hashes: {_hashes(one['hashes'])}"
        yield f"  - replay: `{one['replay']}`"
    for one in told["failures"]:
        yield f"- failure {one['id']} in {one['count']} shards, first {one['shard']}: {_first_line(one['wrong'])}"
        yield f"  - replay: `{one['replay']}`"
    if told["missing"]:
        yield f"- missing shards: {', '.join(span(*one) for one in told['missing'])}"
    if told["missing_shares"]:
        yield f"- missing shares: {', '.join(told['missing_shares'])}"


def _hashes(hashes: dict[str, list[str]]) -> str:
    return "; ".join(f"{digest[:12]} in {', '.join(folders)}" for digest, folders in hashes.items())


def _first_line(text: str) -> str:
    return next(iter(text.splitlines()), "no text is kept of it")


def _write(file: Path, text: str) -> None:
    file.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
