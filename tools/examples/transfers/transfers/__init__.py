"""Accounts, and transfers between them that lose no money."""
