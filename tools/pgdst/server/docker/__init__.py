"""Postgres in a container."""
