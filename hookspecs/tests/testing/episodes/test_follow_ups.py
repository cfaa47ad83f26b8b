"""One mistake is one failure: what only restates it is skipped, and says who reports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from slime_hookspecs.testing import Certificate, Outcome, Status, Subject, run

Install = Callable[[str], str]
Open = Callable[[str], Subject]

MULTI_TURN: Final = '\n@hookimpl\ndef slime_conformance():\n    return conformance("multi_turn")\n'
GENERATE: Final = """
@hookimpl
async def slime_generate(sample, engine):
    begin(sample, engine)
    sample.stop = await engine.generate(sample.trace)
    return sample
"""
WRONG_DEFINITIONS: Final = {
    "known_hooks": GENERATE.replace("slime_generate", "slime_generat"),
    "colours": "@hookimpl\ndef slime_generate(sample, engine):\n    return sample\n",
    "marked": GENERATE.replace("@hookimpl", ""),
    "arguments": GENERATE.replace("engine)", "engine, budget)", 1),
}
#: Opens its file when it is made, when it is asked, or both, as the evaluation sets do too.
DATA: Final = """
import dataclasses
@dataclasses.dataclass(frozen=True)
class Options:
    path: str = dataclasses.field(default="/no/such/file", metadata={"help": "x"})

@hookimpl
def slime_options():
    return Options

class Source:
    def __init__(self, path):
        self.path = path
    def take(self, count):
        return [Prompt(line, [], line) for line in open(self.path)][:count]
    def state(self):
        return {}
    def restore(self, state):
        pass

@hookimpl
def slime_data_source(options, run):
    OPENING
    return Source(options.path)

@hookimpl
def slime_eval_sets(options, run):
    return [EvalSet("x", [Prompt(line, [], line) for line in open(options.path)])]

@hookimpl
def slime_reward(sample):
    return float(sample.prompt.label["answer"] == sample.response)
"""
REWARD: Final = """
@hookimpl
def slime_reward(sample):
    return TABLE[sample.response]

TABLE = {}
"""


def outcomes(certificate: Certificate) -> dict[str, Outcome]:
    return {one.name: one for one in certificate.outcomes}


def bad(certificate: Certificate) -> list[str]:
    return [one.name for one in certificate.bad()]


@pytest.mark.parametrize("check", WRONG_DEFINITIONS)
def test_a_hook_that_is_defined_wrong_is_one_failure(check: str, install: Install) -> None:
    certificate = run(install(WRONG_DEFINITIONS[check] + MULTI_TURN))
    assert bad(certificate) == [f"declarations.{check}"]
    found = outcomes(certificate)
    for name in ("declarations.capabilities", "generate.answers", "resume.interrupted_episode"):
        assert found[name].status is Status.SKIPPED
        assert found[name].reason.endswith(f"cannot be called, which declarations.{check} reports")


def test_a_capability_without_any_hook_is_still_a_failure_beside_it(install: Install) -> None:
    both = MULTI_TURN.replace('"multi_turn"', '"multi_turn", "policy_gradient"')
    found = outcomes(run(install(WRONG_DEFINITIONS["known_hooks"] + both), ["declarations"]))
    assert found["declarations.capabilities"].message == (
        "it declares policy_gradient, and has no slime_loss"
    )


def test_a_hook_that_another_function_implements_is_not_taken_for_broken(subject: Open) -> None:
    opened = subject(WRONG_DEFINITIONS["known_hooks"] + GENERATE)
    assert "slime_generate" in opened.hooks
    assert opened.broken == {}


def test_what_nobody_meant_as_a_hook_breaks_none(subject: Open) -> None:
    assert subject("@hookimpl\ndef zzz():\n    pass\n").broken == {}


@pytest.mark.parametrize("name", ["slime_conformanc", "slime_conformance"])
def test_without_what_the_author_says_no_behaviour_is_judged(name: str, install: Install) -> None:
    mark = "@hookimpl" if name == "slime_conformanc" else ""
    said = f"\n{mark}\ndef {name}():\n    return conformance(options={{'path': 'x'}})\n"
    certificate = run(install(DATA.replace("OPENING", "pass") + said))
    assert len(bad(certificate)) == 1
    ran = [one.tier for one in certificate.outcomes if one.status is not Status.SKIPPED]
    assert set(ran) == {"packaging", "declarations"}


def test_what_needs_options_that_are_misspelt_is_skipped(install: Install) -> None:
    source = DATA.replace("OPENING", "pass").replace("def slime_options", "def slime_option")
    certificate = run(install(source), ["declarations", "data_source", "reward"])
    assert bad(certificate) == ["declarations.known_hooks"]


@pytest.mark.parametrize("opening", ["pass", "open(options.path)"])
def test_a_data_file_that_does_not_open_is_one_failure(opening: str, install: Install) -> None:
    certificate = run(install(DATA.replace("OPENING", opening)))
    assert bad(certificate) == ["data_source.opens"]
    found = outcomes(certificate)
    assert "No such file or directory: '/no/such/file' (at written_0.py:" in (
        found["data_source.opens"].message
    )
    for name in ("data_source.restores", "eval_sets.sets", "reward.finite", "resume.data_source"):
        assert found[name].status is Status.SKIPPED
        assert "data_source.opens" in found[name].reason


def test_rewards_are_judged_on_prompts_of_the_suite_where_the_author_exempts_the_data(
    install: Install,
) -> None:
    said = "\n@hookimpl\ndef slime_conformance():\n    return conformance(exempt=%s)\n"
    source = DATA.replace("OPENING", "pass") + said % {"data_source.opens": "needs a network"}
    certificate = run(install(source), ["data_source.opens", "reward.finite"])
    assert bad(certificate) == ["reward.finite"]


def test_a_reward_that_raises_is_one_failure_and_names_its_line(install: Install) -> None:
    certificate = run(install(REWARD), ["reward"])
    assert bad(certificate) == ["reward.finite"]
    found = outcomes(certificate)["reward.pathological"]
    assert found.reason.startswith("reward.finite reports the same: KeyError: '' (at written_0.py:")


def test_alone_a_check_reports_what_others_would(install: Install) -> None:
    certificate = run(install(REWARD), ["reward.pathological"])
    assert bad(certificate) == ["reward.pathological"]


def test_what_is_expected_to_fail_reports_nothing_for_others(install: Install) -> None:
    said = "\n@hookimpl\ndef slime_conformance():\n    return conformance(expected_failures=%s)\n"
    source = REWARD + said % {"reward.finite": "not yet"}
    assert bad(run(install(source), ["reward"])) == ["reward.no_mutation"]


def test_another_line_that_raises_the_same_is_another_failure(install: Install) -> None:
    grouped = "\n@hookimpl\ndef slime_group_reward(group):\n    return TABLE['']\n"
    certificate = run(install(REWARD + grouped), ["reward.finite", "group_reward.finite"])
    assert bad(certificate) == ["reward.finite", "group_reward.finite"]
