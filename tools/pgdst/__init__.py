"""Deterministic simulation testing of a backend on a real, throw-away Postgres 16."""
