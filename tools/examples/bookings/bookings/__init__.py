"""Rooms that are booked by the hour, and never twice."""
