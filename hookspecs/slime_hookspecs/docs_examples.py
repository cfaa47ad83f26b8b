"""Short examples on the page of records, by the name that they stand under. Tests run the page."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final = {
    "Sample": """
from slime_hookspecs.testing.kit import make_prompt, make_sample

sample = make_sample(make_prompt("2+2=", label="4"), response=" 4\\n")
assert sample.response.strip() == sample.prompt.label
assert sample.reward is None  # The core sets it, from what rewards give back.
""",
    "Reward": """
from slime_hookspecs import Reward

right = Reward(1.0, {"letters": 1.0})  # The metric is reward/<plugin>/letters.
""",
    "Context": """
from slime_hookspecs.testing.kit import make_context

ctx = make_context(seed=7)
ctx.logger.info("step %d of %d", ctx.step, ctx.run.steps)
assert ctx.rng.random() == make_context(seed=7).rng.random()
""",
    "DataSource": """
from slime_hookspecs import DataSource
from slime_hookspecs.datasets import PromptSource

prompts = [make_prompt(f"{n}+{n}=", label=str(2 * n), id=str(n)) for n in range(10)]
source = PromptSource(prompts, seed=0, shuffle=True)
assert isinstance(source, DataSource)
source.take(3)
again = PromptSource(prompts, seed=0, shuffle=True)
again.restore(source.state())
assert again.take(9) == source.take(9)
""",
    "slime_hookspecs.datasets": """
import json
from pathlib import Path

from slime_hookspecs import Prompt
from slime_hookspecs.datasets import held_out, label, messages, read_rows

path = Path("held_out.jsonl")
path.write_text(json.dumps({"question": "2+2=", "answer": 4}))
prompts = [
    Prompt(
        id=f"{path.stem}/{row.number}",
        messages=messages(row, "question", "--my-task.question", "{prompt} Only the number."),
        label=label(row, "answer", "--my-task.answer"),
    )
    for row in read_rows(path)
]
greedy, sampled = held_out(path.stem, prompts, samples_per_prompt=8)
assert (greedy.name, greedy.sampling.temperature) == ("held_out_greedy", 0.0)
assert prompts[0].label == "4"
""",
    "Engine": """
import asyncio

from slime_hookspecs import Sampling, StopReason
from slime_hookspecs.testing.kit import ScriptedEngine

engine = ScriptedEngine(["6*7=", "42"])  # In a run the core gives it.
sample = make_sample(make_prompt("What is 6*7?"))


async def episode():
    sample.trace.append_prompt(engine.render(sample.prompt.messages))
    await engine.generate(sample.trace, Sampling(stop=["="]))
    sample.trace.append_observed(engine.encode("42"))  # A tool's answer: not trained on.
    sample.stop = await engine.generate(sample.trace)


asyncio.run(episode())
kinds = [segment.kind for segment in sample.trace.segments]
assert kinds == ["prompt", "sampled", "observed", "sampled"]
assert sample.stop is StopReason.STOP
""",
    "Trace": """
from slime_hookspecs import Trace

trace = Trace()
trace.append_prompt([5, 6])
trace.append_sampled([7, 8], logprobs=[-0.1, -0.2], weight_version=3)
trace.append_observed([9])
assert trace.tokens == [5, 6, 7, 8, 9]
assert trace.loss_mask == [0, 0, 1, 1, 0]
assert trace.weight_versions == [-1, -1, 3, 3, -1]
""",
    "Verdict": """
from slime_hookspecs import KEEP, Verdict
from slime_hookspecs.testing.kit import make_group


def verdict(group):
    equal = len({sample.reward for sample in group.scored}) < 2
    return Verdict(False, "all_equal") if equal else KEEP


assert verdict(make_group([1.0, 0.0, None])) == KEEP  # None is a sample that failed.
assert verdict(make_group([1.0, 1.0])).reason == "all_equal"
""",
    "BatchField": """
from slime_hookspecs import BatchField

fields = [BatchField("difficulty", per="sample", default=0.0)]
sample.fields["difficulty"] = 0.5  # In a rollout hook; batch["difficulty"] in a trainer hook.
""",
    "Loss": """
from slime_hookspecs import Loss
from slime_hookspecs.testing.kit import make_batch

batch, policy = make_batch([3, 5])  # Two samples. Needs torch.
ratio = (policy.logprobs - batch["old_logprobs"]).exp()
loss = Loss(-ratio * batch["advantages"], {"ratio": ratio.detach()})
total = (loss.per_token * batch["loss_weights"]).sum()  # The core does this.
assert loss.per_token.shape == batch["tokens"].shape
""",
    "Tracker": """
class Printed:
    def log(self, step, metrics):
        print(step, metrics.get("reward/mean"))

    def close(self):
        print("closed")
""",
    "Plugin options": """
from dataclasses import dataclass, field
from typing import Literal

from slime_hookspecs.options import check_ranges


@dataclass(frozen=True)
class Options:
    data: str = field(default="", metadata={"help": "file to train on"})
    level: Literal["easy", "hard"] = field(default="easy", metadata={"help": "which problems"})
    hints: int = field(default=0, metadata={"help": "hints a problem comes with, 0 to 3"})
    key: str = field(default="", metadata={"help": "key of the judge", "secret": True})

    def __post_init__(self):
        check_ranges("my_task", self, hints=(0, 3))
""",
    "Errors": """
from slime_hookspecs import DataError

try:
    held_out_rows = read_rows(Path("held_ot.jsonl"))
except DataError as error:
    assert str(error).endswith("did you mean held_out.jsonl?")
""",
}
"""They share one namespace, in the order of the page."""
