"""Ways to bring new weights to the servers, each a context manager with one method ``send``."""
