"""The author's test kit: a scripted engine, faults, a virtual clock, a tokenizer, factories.

Needs ``slime-hookspecs`` alone. A test of a plugin that generates::

    engine = ScriptedEngine(["The answer is 4."], faults=[Abort(after_tokens=3)])
    sample = await slime_generate(make_sample(make_prompt("2+2=")), engine, make_context())
"""

from slime_hookspecs.testing.kit.batches import MadePolicy, make_batch
from slime_hookspecs.testing.kit.clock import VirtualClock
from slime_hookspecs.testing.kit.engine import EngineCall, ScriptedEngine
from slime_hookspecs.testing.kit.factories import (
    make_context,
    make_group,
    make_prompt,
    make_run,
    make_sample,
)
from slime_hookspecs.testing.kit.faults import (
    Abort,
    Fault,
    Malformed,
    NewWeights,
    Restart,
    SlowTokens,
    Timeout,
)
from slime_hookspecs.testing.kit.http import serve
from slime_hookspecs.testing.kit.tokenizer import TinyTokenizer

__all__ = [
    "Abort",
    "EngineCall",
    "Fault",
    "MadePolicy",
    "Malformed",
    "NewWeights",
    "Restart",
    "ScriptedEngine",
    "SlowTokens",
    "Timeout",
    "TinyTokenizer",
    "VirtualClock",
    "make_batch",
    "make_context",
    "make_group",
    "make_prompt",
    "make_run",
    "make_sample",
    "serve",
]
