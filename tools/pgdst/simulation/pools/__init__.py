"""Pools of drivers' own: asyncpg's and psycopg_pool's."""
