"""Snapshots of a project: how they are filled, and what they depend on."""
