"""Notifications: what agents are told, and how far they have read."""
