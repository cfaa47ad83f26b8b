"""Stands in for the package where a test needs tasks that misbehave, or to start quickly."""
