"""Two tiny games, for tests, demonstrations and examples."""
