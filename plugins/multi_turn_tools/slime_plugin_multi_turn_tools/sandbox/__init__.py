"""A place for programs that nobody vouches for: no network, no files, bounded in everything."""

from slime_plugin_multi_turn_tools.sandbox.isolation import Isolation
from slime_plugin_multi_turn_tools.sandbox.limits import Limits
from slime_plugin_multi_turn_tools.sandbox.probe import strongest, works
from slime_plugin_multi_turn_tools.sandbox.report import Ended, Report
from slime_plugin_multi_turn_tools.sandbox.sandbox import Sandbox

__all__ = ["Ended", "Isolation", "Limits", "Report", "Sandbox", "strongest", "works"]
