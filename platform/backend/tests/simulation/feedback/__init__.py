"""Feedback about the platform, and upvotes."""
