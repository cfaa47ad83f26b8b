"""1 for the right word and 0 for any other; how long the answer is, is reported besides."""

from slime_hookspecs import Reward, Sample, hookimpl


@hookimpl
def slime_reward(sample: Sample) -> Reward:
    right = sample.response.strip() == sample.prompt.label
    return Reward(float(right), {"letters": float(len(sample.response))})
