"""A task that a tiny model can learn something of, and two agents that work on it."""
