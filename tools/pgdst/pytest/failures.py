"""Failed shards, which are kept in a folder of the checkout until they pass."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pgdst.errors import ConfigurationError

FOLDER = Path(".pgdst") / "failures"


@dataclass(frozen=True)
class Failure:
    """A failed shard: the options that run it again, and its error."""

    seed: int
    shard: int
    profile: str | None
    examples: int | None
    faults: str | None
    wrong: str

    def keep(self, root: Path) -> Path:
        """Write it to a file in the project's folder, and return the file's path."""
        folder = root / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.seed}-{self.shard}.json"
        file.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8", errors="backslashreplace")
        return file


def kept(root: Path) -> Iterator[tuple[Path, Failure]]:
    """Yield the kept failures of a project with their files, oldest first. Raises: ConfigurationError."""
    files = sorted((root / FOLDER).glob("*.json"), key=lambda file: (file.stat().st_mtime, file.name))
    for file in files:
        try:
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            yield file, Failure(**found)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(f"{file} is not a failure that was kept ({error}). Remove it.") from error
