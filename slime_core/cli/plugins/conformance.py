"""``slime plugins check NAME``: the same conformance suite as ``slime-conformance NAME``."""

from __future__ import annotations

from collections.abc import Sequence

from slime_hookspecs import ConfigError


def main(argv: Sequence[str]) -> int:
    """Run the suite. Returns 0 if the plugin conforms, 1 if not, 2 if the question is wrong."""
    try:
        from slime_hookspecs.testing.cli import main as suite
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"slime plugins check: the conformance suite needs the module {error.name!r}\n"
            f"  to install it: pip install 'slime-hookspecs[testing]'"
        ) from error
    return suite(argv)
