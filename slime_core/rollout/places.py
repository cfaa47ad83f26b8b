"""Where in a plugin's own code something happened; the conformance suite says it the same way."""

from slime_hookspecs.places import own_folder, place_of

__all__ = ["own_folder", "place_of"]
