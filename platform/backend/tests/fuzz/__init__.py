"""A fuzz of the running service, made from its own OpenAPI document."""
