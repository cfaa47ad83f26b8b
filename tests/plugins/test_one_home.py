"""Host and conformance suite judge definitions and batch fields by the same code and words."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import Any

import pytest
from slime_hookspecs import PluginError, RunInfo, batch
from slime_hookspecs.batch import CORE_FIELDS, BatchField, wrong_batch_field
from slime_hookspecs.signatures import definitions
from slime_hookspecs.testing.checks import CheckFailed, declarations, registered
from slime_hookspecs.testing.subject import Subject
from slime_hookspecs.testing.target import find as find_target

from slime_core.config.schema import Config
from slime_core.plugins import bind, implementations, load

MARK = "@hookimpl\n"


@pytest.mark.parametrize(
    ("check", "source"),
    [
        ("object", "x = 1"),
        ("known_hooks", f"{MARK}def slime_rewards(sample): return 1.0"),
        ("marked", "def slime_reward(sample): return 1.0"),
        ("marked", "@hookimpl(trylast=True)\ndef slime_filter(group): return KEEP"),
        ("marked", "@hookimpl(wrapper=True)\ndef slime_filter(group): yield"),
        ("arguments", f"{MARK}def slime_reward(sampel): return 1.0"),
        ("arguments", f"{MARK}def slime_reward(sample, *, ctx): return 1.0"),
        ("colours", f"{MARK}def slime_generate(sample): ..."),
        ("colours", f"{MARK}def slime_eval_sets(run): yield"),
        (
            "marked",
            f"{MARK}def slime_reward(): return 1\n"
            "@hookimpl(specname='slime_reward')\ndef other(): return 2",
        ),
    ],
)
def test_what_the_host_refuses_fails_the_check_in_the_same_words(
    site: Any, monkeypatch: pytest.MonkeyPatch, check: str, source: str
) -> None:
    site.plugin("bad", source)
    with pytest.raises(PluginError) as refused:
        implementations(load(["bad"])[0])
    _, definition, wrong = (line.strip() for line in str(refused.value).split("\n"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site.folder)]))
    with pytest.raises(CheckFailed) as failed:
        registered()[f"declarations.{check}"].function(Subject(find_target("bad")))
    assert str(failed.value).split("\n")[0] == f"{definition}: {wrong}"


@pytest.mark.parametrize(
    "field", ["BatchField('sample_indices', 'sample')", "BatchField('x', 'token', shape=3)", "'x'"]
)
def test_a_batch_field_is_judged_alike(
    site: Any, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    site.plugin("bad", f"{MARK}def slime_batch_fields(): return [{field}]")
    with pytest.raises(PluginError) as refused:
        bind(Config(plugins=["bad"]), load(["bad"]))
    _, shown, wrong = (line.strip() for line in str(refused.value).split("\n"))
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    with pytest.raises(CheckFailed) as failed:
        declarations.batch_fields(Subject(find_target("bad")))
    assert str(failed.value) == f"{shown}: {wrong}"


class Surprising:
    """An instance whose property must not be read."""

    @property
    def slime_loss(self) -> Any:
        raise AssertionError("a property was read")


def test_a_property_of_an_instance_is_not_read() -> None:
    (complaint,) = definitions(Surprising()).complaints
    assert complaint.wrong == "it implements no hook: mark one with @hookimpl"


@pytest.mark.parametrize("target", [Surprising, len, None, 3, "text"])
def test_what_cannot_be_a_plugin_has_one_complaint_and_no_hook(target: object) -> None:
    found = definitions(target)
    assert found.hooks == {}
    assert [one.kind.value for one in found.complaints] == ["object"]


def test_the_documentation_of_a_batch_lists_what_the_core_fills() -> None:
    text = inspect.getsource(batch).partition("Batch: TypeAlias")[2].partition("CORE_FIELDS")[0]
    assert set(re.findall(r"^\* ``(\w+)``", text, re.MULTILINE)) == CORE_FIELDS


def test_a_loss_is_given_what_the_documentation_of_a_batch_lists() -> None:
    import numpy as np
    import torch
    from slime_hookspecs import Context, Loss

    from slime_core.batching import SAMPLE_COLUMNS, TOKEN_COLUMNS
    from slime_core.trainer.batch import to_device
    from slime_core.trainer.logprobs import VocabularyPart
    from slime_core.trainer.loss import Hook, Objective, micro_batch_loss
    from slime_core.trainer.policy import PackedPolicy

    columns = {
        **{name: np.zeros(3, dtype) for name, dtype in TOKEN_COLUMNS.items()},
        **{name: np.zeros(1, dtype) for name, dtype in SAMPLE_COLUMNS.items()},
        "lengths": np.array([3]),
    }
    micro = to_device(columns, torch.device("cpu"), 1)
    given: dict[str, Any] = {}

    class Bound:
        plugin = "watcher"

        @staticmethod
        def call(batch: Any, *rest: Any) -> Any:
            given.update(batch)
            zeros = torch.zeros(3)
            return Loss(zeros + rest[0].logprobs) if len(rest) == 2 else zeros

    ctx = Context(run=RunInfo("r", Path(), Path(), 0, 1, 1, 1, 1), options=None)
    hook: Any = Hook(Bound, ctx)
    logits = torch.zeros(3, 5, requires_grad=True)
    policy = PackedPolicy(logits, micro.columns["tokens"], micro.positions, VocabularyPart(0, 5))
    micro_batch_loss(micro, policy, Objective(hook, hook, False))
    assert given.keys() == CORE_FIELDS


@pytest.mark.parametrize("name", sorted(CORE_FIELDS))
def test_no_plugin_may_take_the_name_of_a_field_of_the_core(name: str) -> None:
    assert list(wrong_batch_field(BatchField(name, "token"))) == [
        "the core fills a batch field of this name"
    ]
