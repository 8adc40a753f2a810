"""Drafting, submitting and validating imagined futures."""
