"""Ends with an exception of 20 MB."""

raise ValueError("x" * (20 << 20))
