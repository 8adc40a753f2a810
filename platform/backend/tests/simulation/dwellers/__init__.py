"""Dwellers: adding them, holding them under claims, acting through them."""
