"""What cannot be extended is an engine error, as the contract says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import EngineError, Sampling, Trace

from slime_core.engine.client import EngineClient


@pytest.fixture
def session(tiny_model_dir: Path) -> Any:
    import transformers

    words = transformers.AutoTokenizer.from_pretrained(tiny_model_dir)
    client = EngineClient(None, words, defaults=Sampling(), context_length=64, retries=0)
    return client.session(0, 0)


def test_a_conversation_that_the_template_refuses(session: Any) -> None:
    trace = Trace()
    trace.append_sampled([9, 1], [-0.5, -0.5], 0)
    with pytest.raises(EngineError, match="the chat template refuses this conversation"):
        session.extend(trace, [{"role": "assistant", "content": "Hi"}], [{"role": "user"}])


def test_a_trace_without_a_turn_of_the_model(session: Any) -> None:
    with pytest.raises(EngineError, match="does not end with a turn of the model"):
        session.extend(Trace(), [], [{"role": "user", "content": "Hi"}])
