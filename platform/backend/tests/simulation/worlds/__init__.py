"""Worlds and their regions."""
