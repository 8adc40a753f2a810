"""Money that is moved between accounts, and never lost."""
