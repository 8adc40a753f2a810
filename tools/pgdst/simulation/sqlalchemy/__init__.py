"""SQLAlchemy's engines in a simulation: their connections, their pools, their mappers."""
