"""Scripts that run at the sandbox's side of the wall, with the standard library alone."""
