"""What a plugin tells the conformance suite about itself: what it does, and examples of it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, final

from slime_hookspecs.errors import PluginError
from slime_hookspecs.records import Prompt

CAPABILITIES: Final[Mapping[str, str]] = {
    "deterministic": "the same input gives the same score, in every process",
    "fan_out": "slime_generate may return several samples for one",
    "group_reward": "samples of a group are scored against each other",
    "multi_turn": "an episode takes more than one turn of the model",
    "needs_network": "hooks reach for the network",
    "needs_sandbox": "hooks run code that is not the plugin's own",
    "no_host_sync": "trainer hooks never read a tensor's value, so that the host need not wait",
    "policy_gradient": "descent makes tokens likelier where the advantage is positive, else less",
    "zero_on_equal_rewards": "samples of a group with equal rewards get advantage 0",
}
"""Every capability that a plugin can declare, with what it means."""

Example: TypeAlias = tuple[Prompt, str]
"""A prompt and the text of a response to it."""


@final
@dataclass(frozen=True, slots=True)
class Conformance:
    """What ``slime_conformance`` returns.

    Attributes:
        capabilities: What the plugin does, of ``CAPABILITIES``; checks follow.
        options: Options to test with, by field, e.g. a small data file.
        gold: Right responses: their reward is at the top of ``reward_range``.
        bad: Wrong and adversarial responses: their reward is at the bottom.
        reward_range: Lowest and highest reward, with the options above.
        replies: What the model writes, turn by turn, where ``slime_generate`` is checked.
        batch: Adds the plugin's own fields to a batch that the suite made, and returns it.
        exempt: Checks that this plugin is not held to, each with the reason.
        expected_failures: Checks that fail for now, each with the reason. Passing is an error.

    Raises:
        PluginError: a capability is unknown, a reason is empty, or the range is no range.
    """

    capabilities: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    gold: Sequence[Example] = ()
    bad: Sequence[Example] = ()
    reward_range: tuple[float, float] | None = None
    replies: Sequence[str] = ()
    batch: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None
    exempt: Mapping[str, str] = field(default_factory=dict)
    expected_failures: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what the suite could not act on."""
        for name in sorted(self.capabilities - set(CAPABILITIES)):
            near = difflib.get_close_matches(name, CAPABILITIES, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = ", ".join(CAPABILITIES)
            raise PluginError(f"Conformance.capabilities: no {name!r} among {known}{hint}")
        for what in ("exempt", "expected_failures"):
            for check, reason in getattr(self, what).items():
                if not isinstance(reason, str) or not reason.strip():
                    raise PluginError(f"Conformance.{what}[{check!r}] needs a reason in words")
        for check in self.exempt:
            if check in self.expected_failures:
                raise PluginError(f"Conformance: {check!r} is both exempt and expected to fail")
        if self.reward_range is not None and not self.reward_range[0] < self.reward_range[1]:
            raise PluginError(
                f"Conformance.reward_range is {self.reward_range}; it must be (low, high)"
            )
