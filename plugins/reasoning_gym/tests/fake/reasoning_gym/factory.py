"""Tasks: one that counts, and some that fail as tasks do."""

import os
import random
import time
from dataclasses import dataclass


@dataclass
class Config:
    seed: int = 0
    size: int = 500
    least: int = 0
    spread: int = 1_000_000

    def validate(self):
        assert self.spread > 0, "spread must be positive"


class Task:
    def __init__(self, config):
        self.config = config

    def __getitem__(self, index):
        number = self.config.least + (self.config.seed + index) % self.config.spread
        self.misbehave(self.config.seed + index)
        return {
            "question": f"{type(self).__name__} {number}?",
            "answer": str(number),
            "metadata": {"at": (index, {number}), "hash": hash("a"), "random": random.random()},
        }

    def misbehave(self, seed):
        pass

    def score_answer(self, answer, entry):
        return float(answer == entry["answer"])


class Prints(Task):
    def misbehave(self, seed):
        print("[true, 1]", flush=True)


class Raises(Task):
    def misbehave(self, seed):
        raise KeyError("no such board")


class Crashes(Task):
    def misbehave(self, seed):
        os._exit(7)


class Hangs(Task):
    def misbehave(self, seed):
        time.sleep(3600)


class Odd(Task):
    """Every other problem fails, in one of three ways."""

    def misbehave(self, seed):
        if seed % 2:
            raise ValueError("odd")


def kind(task):
    made = type(task.__name__, (task,), {})
    made.__module__ = "reasoning_gym.counting.tasks" if task is Task else "reasoning_gym.bad.tasks"
    return made, Config


DATASETS = {
    "counts": kind(Task),
    "composite": kind(Task),
    **{one.__name__.lower(): kind(one) for one in (Prints, Raises, Crashes, Hangs, Odd)},
}


class Attribute:
    levels = (10, 0, 100, -1)


class Curriculum:
    """Four levels, of which the package itself refuses the second and the last."""

    def __init__(self):
        self.attributes = {"spread": Attribute()}

    def set_global_level(self, level):
        self.level = level

    def generate_configuration(self, defaults, context):
        assert context.mode in ("inclusive", "upper_bound")
        return Config(**{**defaults, "spread": Attribute.levels[self.level]})


CURRICULA = {"counts": Curriculum}
