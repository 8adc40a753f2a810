"""The model of requests with an idempotency key."""

from datetime import datetime

from pgdst.simulation.clients.ids import NOBODY

from simulation.engine.keys import Keyed, sha256_of
from simulation.engine.model import Refusal
from simulation.feedback.model import FeedbackModel


class IdempotencyModel(FeedbackModel):
    """Keyed requests, in the order in which they were first sent, and when that was."""

    STORED_TIMES = frozenset({("idempotent_requests", "created_at", "agent_id", "key_sha256")})

    def names_by_id(self) -> dict[str, str]:
        """Of a key only its hash is seen."""
        return super().names_by_id() | {sha256_of(keyed.key): keyed.key for keyed in self.keyed_requests}

    def times(self) -> dict[tuple[str, str], datetime]:
        """Keys are taken."""
        taken = {
            ("idempotent_requests.created_at", " ".join(self.kept_as(keyed))): at
            for keyed, at in self.keys_taken_at.items()
        }
        return super().times() | taken

    def secrets(self) -> list[str]:
        """A key opens the answer that was given under it."""
        return [*super().secrets(), *(keyed.key for keyed in self.keyed_requests)]

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
