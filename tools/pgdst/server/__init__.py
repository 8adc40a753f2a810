"""A throw-away Postgres server whose life is tied to its run."""
