"""Idempotency keys: sending a request again."""
