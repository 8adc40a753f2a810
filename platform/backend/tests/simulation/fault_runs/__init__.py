"""Requests under faults."""
