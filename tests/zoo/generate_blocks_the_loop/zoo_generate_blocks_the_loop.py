"""Asks a server of its own before each episode and lets nobody else work while it waits."""

from __future__ import annotations

import urllib.error
import urllib.request

from slime_hookspecs import Engine, Sample, hookimpl


def ask(url: str) -> str:
    """What a server answers: right in a thread, and wrong on the event loop's own."""
    try:
        with urllib.request.urlopen(url, timeout=1.0) as answer:
            return str(answer.read())
    except urllib.error.URLError:
        return "Nothing is known."


@hookimpl
async def slime_generate(sample: Sample, engine: Engine) -> Sample:
    """One turn of the model, told what the server knows."""
    if not len(sample.trace):
        known = {"role": "system", "content": ask("http://127.0.0.1:9/")}
        messages = [known, *sample.prompt.messages]
        sample.trace.append_prompt(engine.render(messages, sample.prompt.tools))
    sample.stop = await engine.generate(sample.trace)
    return sample
