"""Proposals: drafting, submitting, validating, revising."""
