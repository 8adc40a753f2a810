"""What agents can do: one request each, and the outcomes that more than one rule needs; one module a domain."""
