"""The tool loop: the model writes, its calls are run, it reads the answers and writes again."""

from __future__ import annotations

from typing import Final, final

from slime_hookspecs import Context, Engine, Sample, Sampling, StopReason

from slime_plugin_multi_turn_tools.calls import Turn, conversation, read_turn, settled, turns
from slime_plugin_multi_turn_tools.options import Options
from slime_plugin_multi_turn_tools.tools.toolbox import ERROR, Answer, Toolbox, toolbox

#: Key of ``sample.metadata`` for what the trace does not say.
NOTES: Final = "multi_turn_tools"


async def play(sample: Sample, engine: Engine, ctx: Context[Options]) -> Sample:
    """Answer the prompt, with as many calls as the model makes and its budgets allow."""
    return await Episode(sample, engine, ctx).play()


@final
class Episode:
    """One attempt at a sample.

    ``sample.metadata["multi_turn_tools"]`` counts ``calls`` and ``errors``, and keeps ``ended_at``:
    the length of the trace when the model ended a turn itself. An attempt that was stopped between
    that and the tools' answer goes on with the tools, and does not let the model write on.
    """

    def __init__(self, sample: Sample, engine: Engine, ctx: Context[Options]) -> None:
        self.sample = sample
        self.engine = engine
        self.options = ctx.options
        self.budget = ctx.options.max_tokens or ctx.run.max_response_tokens
        self.box: Toolbox = toolbox(ctx.options)
        self.tools = self.box.schemas(sample.prompt)
        self.notes = _notes(sample)
        if not len(sample.trace):
            sample.trace.append_prompt(engine.render(sample.prompt.messages, self.tools))
        self.messages = conversation(engine, sample.prompt.messages, sample.trace, self.tools)

    async def play(self) -> Sample:
        """Turn after turn; ``sample.stop`` says why the last one was the last."""
        while True:
            self.sample.stop = await self.speak()
            if self.sample.stop is not StopReason.STOP:
                return self.sample
            turn = read_turn(self.engine, self.sample.trace, self.tools)
            if not turn.asks:
                return self.sample
            if turns(self.sample.trace) >= self.options.max_turns:
                self.sample.stop = StopReason.TURNS
                return self.sample
            if not self.observe(turn, await self.answer(turn)):
                self.sample.stop = StopReason.CONTEXT
                return self.sample

    async def speak(self) -> StopReason:
        """Let the model write until its turn ends, within what is left of its budget."""
        trace = self.sample.trace
        if self.notes["ended_at"] == len(trace):
            return StopReason.STOP
        left = self.budget - trace.sampled_length
        if left <= 0:
            return StopReason.LENGTH
        stop = await self.engine.generate(trace, Sampling(max_new_tokens=left))
        if stop is StopReason.STOP:
            self.notes["ended_at"] = len(trace)
        return stop

    async def answer(self, turn: Turn) -> list[Answer]:
        """What the tools say to a turn: one answer a call, in order."""
        if turn.garbled:
            return [Answer(f"{ERROR}no call can be read in this; {self.known()}", failed=True)]
        most, answers = self.options.max_calls_per_turn, []
        for call in turn.calls[:most]:
            answers.append(await self.box.answer(call.name, call.arguments))
        for _ in turn.calls[most:]:
            text = f"{ERROR}not run: a turn may make {most} calls, this one makes "
            answers.append(Answer(f"{text}{len(turn.calls)}", failed=True))
        return answers

    def observe(self, turn: Turn, answers: list[Answer]) -> bool:
        """Append the answers to the trace; whether there is room for them and a token more."""
        trace, new = self.sample.trace, turn.answered([one.text for one in answers])
        added = self.engine.extend(trace, [*self.messages, turn.message], new, self.tools)
        if len(trace) + len(added) >= self.engine.context_length:
            return False
        trace.append_observed(added)
        self.messages += settled(turn, self.engine.decode(added))
        self.notes["calls"] += len(turn.calls)
        self.notes["errors"] += sum(one.failed for one in answers)
        return True

    def known(self) -> str:
        """What the model may call."""
        names = ", ".join(tool["function"]["name"] for tool in self.tools)
        return f"call {names} with arguments as a JSON object, in the form that you were shown"


def _notes(sample: Sample) -> dict[str, int]:
    """What is noted about a sample. Another attempt's notes are gone on with."""
    found: dict[str, int] = sample.metadata.setdefault(NOTES, {})
    for name, value in {"calls": 0, "errors": 0, "ended_at": -1}.items():
        found.setdefault(name, value)
    return found
