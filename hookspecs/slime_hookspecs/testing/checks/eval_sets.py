"""Evaluation sets: named, not empty, and not what the model is trained on."""

from __future__ import annotations

import re
from typing import Final

from slime_hookspecs.data import EvalSet
from slime_hookspecs.records import Prompt
from slime_hookspecs.testing.checks import CheckFailed, NotApplicable, check
from slime_hookspecs.testing.checks.data_source import not_json
from slime_hookspecs.testing.subject import Subject

HOOKS: Final = ("slime_eval_sets",)
#: How many prompts to train on are compared with those to evaluate.
TRAINED: Final = 1000


@check("eval_sets.sets", "eval_sets", hooks=HOOKS)
def sets(subject: Subject) -> None:
    """The hook gives a list of ``EvalSet``, each asking for at least one sample a prompt."""
    given = subject.call("slime_eval_sets", subject.options, subject.run)
    if not isinstance(given, list | tuple) or not all(isinstance(s, EvalSet) for s in given):
        raise CheckFailed(f"slime_eval_sets returned {given!r:.200}; return a list of EvalSet")
    for one in given:
        if one.samples_per_prompt < 1:
            raise CheckFailed(f"set {one.name!r} asks for {one.samples_per_prompt} samples")


@check("eval_sets.names", "eval_sets", hooks=HOOKS)
def names(subject: Subject) -> None:
    """Names of sets are unique, and fit into names of metrics."""
    given = [one.name for one in _given(subject)]
    for name in given:
        if not re.fullmatch(r"[\w.@+-]+", name):
            raise CheckFailed(f"a set is called {name!r}; a name has letters, digits, _ . @ + -")
        if given.count(name) > 1:
            raise CheckFailed(f"two sets are called {name!r}")


@check("eval_sets.not_empty", "eval_sets", hooks=HOOKS)
def not_empty(subject: Subject) -> None:
    """Every set has prompts: the mean over none is not a number."""
    for one in _given(subject):
        if not len(one.prompts):
            raise CheckFailed(f"set {one.name!r} has no prompts; leave it out instead")


@check("eval_sets.unique_ids", "eval_sets", hooks=HOOKS)
def unique_ids(subject: Subject) -> None:
    """Ids of prompts are unique within a set."""
    for one in _given(subject):
        ids = [prompt.id for prompt in one.prompts]
        if len(set(ids)) < len(ids):
            twice = next(name for name in ids if ids.count(name) > 1)
            raise CheckFailed(f"set {one.name!r} has two prompts with the id {twice!r}")


@check("eval_sets.json_prompts", "eval_sets", hooks=HOOKS)
def json_prompts(subject: Subject) -> None:
    """Prompts are JSON values, as those of a data source are."""
    for one in _given(subject):
        for prompt in one.prompts[:20]:
            if wrong := not_json(prompt):
                raise CheckFailed(f"set {one.name!r}: {wrong}")


@check("eval_sets.held_out", "eval_sets", hooks=HOOKS)
def held_out(subject: Subject) -> None:
    """No prompt of a set is among the first thousand that the same plugin trains on."""
    if "slime_data_source" not in subject.hooks:
        raise NotApplicable("the plugin has no slime_data_source to compare with")
    trained = {_question(one) for one in subject.data_source().take(TRAINED)}
    for one in _given(subject):
        for prompt in one.prompts:
            if _question(prompt) in trained:
                raise CheckFailed(f"set {one.name!r}: {prompt.id!r} is also trained on")


def _given(subject: Subject) -> list[EvalSet]:
    try:
        given = list(subject.call("slime_eval_sets", subject.options, subject.run))
    except NotApplicable:
        raise
    except Exception as error:
        raise NotApplicable("it gives no list of sets, which eval_sets.sets reports") from error
    if not all(isinstance(one, EvalSet) for one in given):
        raise NotApplicable("it gives no list of sets, which eval_sets.sets reports")
    if not given:
        raise NotApplicable("there are no sets with these options")
    return given


def _question(one: Prompt) -> str:
    return repr(one.messages)
