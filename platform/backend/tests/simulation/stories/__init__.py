"""Stories: telling them, reviewing them, responding."""
