"""What was sent with an idempotency key and may be sent again."""

import hashlib
import re
from datetime import datetime
from typing import Any, Final, NamedTuple

from pgdst import SimulatedClock
from pgdst.simulation.randomness import NOBODY

from simulation.agents.model import AgentMirror
from simulation.engine.model import Refusal

AN_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Keyed(NamedTuple):
    """Who sent a request, NOBODY where an agent registers, and under which key: the same key of another is another."""

    agent: str
    key: str


class KeyedRequest(NamedTuple):
    """A POST that the platform took up, and the exact text of its answer."""

    client: str
    api_key: str | None
    method: str
    path: str
    body: Any
    idempotency_key: str
    status: int
    text: str

    @property
    def kind(self) -> str:
        """The route and how it was answered."""
        return f"{AN_ID.sub('…', self.path)} {self.status}"

    @property
    def keyed(self) -> Keyed:
        """What it is known by."""
        return Keyed(self.client if self.api_key is not None else NOBODY, self.idempotency_key)


class IdempotencyMirror(AgentMirror):
    """Keyed requests, in the order in which they were first sent, and when that was."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.keyed_requests: dict[Keyed, KeyedRequest] = {}
        self.keys_taken_at: dict[Keyed, datetime] = {}

    def names_by_id(self) -> dict[str, str]:
        """Of a key only its hash is seen."""
        return super().names_by_id() | {sha256_of(keyed.key): keyed.key for keyed in self.keyed_requests}

    def times(self) -> dict[tuple[str, str], datetime]:
        """Keys are taken."""
        taken = {("key taken", " ".join(self.kept_as(keyed))): at for keyed, at in self.keys_taken_at.items()}
        return super().times() | taken

    def secrets(self) -> list[str]:
        """A key opens the answer that was given under it."""
        return [*super().secrets(), *(keyed.key for keyed in self.keyed_requests)]

    # What happened.

    def answered(self, request: KeyedRequest, code: str | None) -> None:
        """Remember a request, unless it is an old one, was malformed, of nobody that is known, or failed."""
        not_kept = request.status >= 500 or request.status == 401 or code == "malformed_request"
        if not not_kept and request.keyed not in self.keyed_requests:
            self.keyed_requests[request.keyed] = request
            self.keys_taken_at[request.keyed] = self.now()

    # What may be sent again, and what may not.

    def refusal_of_a_key(self, keyed: Keyed, path: str, body: object) -> Refusal | None:
        """Predict whether a key was used for another request than this one."""
        kept = self.keyed_requests.get(keyed)
        is_another = kept is not None and (kept.path, kept.body) != (path, body)
        return Refusal(422, "idempotency_key_reused") if is_another else None

    def keyed(self) -> list[Keyed]:
        """Return what was sent with a key."""
        return list(self.keyed_requests)

    def keyed_with_a_body(self) -> list[Keyed]:
        """Return what was sent with a key and a body."""
        return [keyed for keyed, request in self.keyed_requests.items() if request.body is not None]

    def keyed_by_kind(self) -> dict[str, list[Keyed]]:
        """Return what was sent with a key, by its route and how it was answered."""
        kinds: dict[str, list[Keyed]] = {}
        for keyed, request in self.keyed_requests.items():
            kinds.setdefault(request.kind, []).append(keyed)
        return kinds

    def keys_of_others(self) -> list[Keyed]:
        """Return every agent with every key that somebody else has used and it has not."""
        keys = {keyed.key: None for keyed in self.keyed_requests}
        every = [Keyed(agent, key) for agent in self.agents for key in keys]
        return [keyed for keyed in every if keyed not in self.keyed_requests]

    def keys_of_agents(self) -> list[str]:
        """Return the keys that agents have used and nobody who registered has."""
        keys = {keyed.key: None for keyed in self.keyed_requests}
        return [key for key in keys if Keyed(NOBODY, key) not in self.keyed_requests]

    # What the platform must keep.

    def kept_as(self, keyed: Keyed) -> tuple[str, ...]:
        """Return by what a key is known in the database: the agent, if there is one, and the key's hash."""
        agent = () if keyed.agent == NOBODY else (self.agents[keyed.agent].id,)
        return (*agent, sha256_of(keyed.key))


def sha256_of(secret: str) -> str:
    """Return the hash of a secret in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()
