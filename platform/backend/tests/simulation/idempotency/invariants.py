"""Invariants of idempotency keys."""

from simulation.engine.checks import always
from simulation.idempotency.actions import IdempotencyActions


class IdempotencyInvariants(IdempotencyActions):
    """Read from the table idempotent_requests."""

    @always
    def keys_are_kept_once(self) -> None:
        """I1: each key that was taken is kept once, for its agent or for nobody, with its status, and no other is."""
        self.expect_by_id(
            expected={
                self.model.kept_as(keyed): [request.status] for keyed, request in self.model.keyed_requests.items()
            },
            found={
                tuple(kept_as): statuses
                for kept_as, statuses in self.rows(
                    "SELECT array_remove(ARRAY[agent_id::text, key_sha256], NULL), array_agg(status ORDER BY status) "
                    "FROM idempotent_requests GROUP BY 1 ORDER BY 1"
                )
            },
        )

    @always
    def no_secret_is_kept(self) -> None:
        """I2: no column of a kept request has a key of any kind, or a token, in plain."""
        secrets = [secret.encode() for secret in self.model.secrets()]
        rows = self.rows(
            "SELECT id::text, (to_jsonb(kept) - 'sealed_answer')::text, sealed_answer "
            "FROM idempotent_requests kept ORDER BY id"
        )
        kept = {row_id: columns.encode() + answer for row_id, columns, answer in rows}
        # Each secret is looked for in all rows at once, and in each of them only where that finds it.
        found = _contained(secrets, b"\0".join(kept.values()))
        exposed = {row_id: _contained(found, columns) for row_id, columns in kept.items()} if found else {}
        self.expect_by_id(expected={}, found={row_id: there for row_id, there in exposed.items() if there})


def _contained(secrets: list[bytes], columns: bytes) -> list[bytes]:
    return [secret for secret in secrets if secret in columns]
