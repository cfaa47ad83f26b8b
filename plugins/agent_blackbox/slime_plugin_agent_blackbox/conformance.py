"""What this plugin tells the conformance suite: its built-in task, and a script as the agent."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from slime_hookspecs import Conformance, Example

AGENT: Final = Path(__file__).parent / "examples" / "plain_agent.py"
#: No digit, so that the agent asks again; then a number.
REPLIES: Final = ("Let me see.", "7")


def conformance() -> Conformance:
    """Samples of no agent are scored by the reward function of the task."""
    from slime_plugin_agent_blackbox.examples.sums import prompt

    gold: list[Example] = [(prompt(a, b), f" {a + b}\n") for a, b in ((1, 2), (9, 9), (0, 0))]
    bad = [(one, text) for one, _ in gold for text in ("", "I do not know.", "three", "?!")]
    return Conformance(
        capabilities=frozenset(
            {"deterministic", "fan_out", "multi_turn", "needs_network", "needs_sandbox"}
        ),
        options={"task": "sums", "command": f"{{python}} -I -S -B {shlex.quote(str(AGENT))}"},
        gold=gold,
        bad=bad,
        reward_range=(0.0, 1.0),
        replies=REPLIES,
        exempt={
            "execution.memory": "an agent is several processes, so that there is time for 60 "
            "episodes only, in which tables of the interpreter and of asyncio grow by more than "
            "is allowed; tests of the package hold that nothing of an episode is kept"
        },
    )
