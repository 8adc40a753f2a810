"""Tests on a throw-away Postgres."""
