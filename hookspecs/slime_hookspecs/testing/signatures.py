"""Where a plugin's definitions are checked; the host does it by the same code."""

from slime_hookspecs.signatures import Complaint, Definitions, Kind, definitions, describe

__all__ = ["Complaint", "Definitions", "Kind", "definitions", "describe"]
