"""Postgres without Docker, from a wheel."""
