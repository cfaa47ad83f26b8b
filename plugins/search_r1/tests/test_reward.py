"""What is a right answer, and what it is worth."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_r1_support import new_sample, scored
from slime_hookspecs import Context, DataError, Group, Reward, Sample, SampleError
from slime_plugin_search_r1 import Options, slime_reward
from slime_plugin_search_r1.answers import exact_match, extract, normalised
from slime_plugin_search_r1.reward import exact_match as exact_match_of_groups
from slime_plugin_search_r1.reward import score

MakeContext = Callable[..., Context[Options]]

RIGHT = "<think>So.</think><answer>79</answer>"
RIGHT_LOOSE = "So <answer>79</answer>"
WRONG = "<think>So.</think><answer>78</answer>"
WRONG_LOOSE = "78!"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The Hague", "hague"),
        ("  An  apple, a day. ", "apple day"),
        ("U.S.A.", "usa"),
        ("4,800 metres", "4800 metres"),
        ("Beyoncé", "beyonc\u00e9"),
        ("Beyonce\u0301", "beyonc\u00e9"),
        ("theatre", "theatre"),
        ("«Au»", "au"),
        ("rock ‘n’ roll", "rock n roll"),
        ("$5", "5"),
        ("北京。", "北京"),
        # Nothing else is left of these.
        ("The The", "the the"),
        ("the The!", "the the"),
        ("A", "a"),
        ("?!", "?!"),
        ("", ""),
    ],
)
def test_answers_are_compared_as_squad_does(text: str, plain: str) -> None:
    assert normalised(text) == plain


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once
    assert once == " ".join(once.split())
    assert bool(once) == bool(text.split())


@pytest.mark.parametrize(
    ("answer", "golden", "same"),
    [
        ("the Den Haag.", ["The Hague", "Den Haag"], True),
        ("Hague or Paris", ["The Hague"], False),
        ("hagues", ["The Hague"], False),
        ("", ["The Hague"], False),
        ("the", ["The The"], False),
        ("the", ["a"], False),
        (".", ["?"], False),
        ("79" + " " * 2000, ["79"], False),
    ],
)
def test_one_of_the_right_answers_is_enough(answer: str, golden: list[str], same: bool) -> None:
    assert exact_match(answer, golden) is same


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<answer>79</answer>", "79"),
        ("<answer>1</answer> no, <answer> 79 </answer> yes", "79"),
        ("<answer>79</answer> <answer>1", None),
        ("<answer>79", None),
        ("79</answer>", None),
        ("79", None),
        ("<answer></answer>", ""),
        ("<answer>a<answer>b</answer>", "b"),
    ],
)
def test_the_answer_is_in_the_last_tags(response: str, answer: str | None) -> None:
    assert extract(response) == answer


@pytest.mark.parametrize(
    ("response", "plain", "with_format"),
    [(RIGHT, 1.0, 1.0), (RIGHT_LOOSE, 1.0, 0.8), (WRONG, 0.0, 0.2), (WRONG_LOOSE, 0.0, 0.0)],
)
def test_the_format_has_the_part_of_the_reward_that_it_is_given(
    response: str, plain: float, with_format: float
) -> None:
    sample = scored(response)
    assert score(sample, Options()).value == plain
    assert score(sample, Options(format_reward=0.2)).value == pytest.approx(with_format)


@pytest.mark.parametrize(("well_formed", "value"), [(True, 1.0), (False, 0.7)])
def test_all_turns_must_have_the_format(well_formed: bool, value: float) -> None:
    account = {"searches": 2, "mistakes": 1, "well_formed": well_formed}
    found = score(scored(RIGHT, account=account), Options(format_reward=0.3))
    assert found == Reward(
        pytest.approx(value),
        {
            "correct": 1.0,
            "answered": 1.0,
            "well_formed": float(well_formed),
            "searches": 2.0,
            "mistakes": 1.0,
        },
    )


def test_thoughts_are_part_of_the_format_unless_they_are_not_asked_for() -> None:
    bare = scored("<answer>79</answer>")
    assert score(bare, Options()).metrics["well_formed"] == 0.0
    assert score(bare, Options(think=False)).metrics["well_formed"] == 1.0


@given(
    st.sampled_from([RIGHT, RIGHT_LOOSE, WRONG, WRONG_LOOSE, ""]) | st.text(),
    st.floats(0, 1),
    st.booleans(),
)
def test_no_response_leaves_the_range(response: str, part: float, account: bool) -> None:
    told = {"searches": 0, "mistakes": 0, "well_formed": account}
    found = score(scored(response, account=told), Options(format_reward=part))
    assert 0.0 <= found.value <= 1.0
    assert set(found.metrics) == {"correct", "answered", "well_formed", "searches", "mistakes"}


@pytest.mark.parametrize("label", ["79", ["80", "79"]])
def test_a_label_is_a_text_or_a_list_of_them(label: Any) -> None:
    assert score(scored(RIGHT, label=label), Options()).value == 1.0


@pytest.mark.parametrize("label", [[], [""], "", " ", [["79"]], {"target": ["79"]}, 79, True])
def test_another_label_is_bad_data_and_no_bad_answer(label: Any) -> None:
    sample = scored(RIGHT, label=label)
    with pytest.raises(DataError, match=r"prompt q: its label is .* needs a right answer"):
        score(sample, Options())


async def test_the_hook_scores_by_the_options_of_the_run(context: MakeContext) -> None:
    sample = scored(WRONG)
    assert (await slime_reward(sample, context())).value == 0.0
    assert (await slime_reward(sample, context(format_reward=0.2))).value == 0.2


def test_the_exact_match_of_a_held_out_set_does_not_depend_on_weights() -> None:
    def finished(correct: float, **fields: Any) -> Sample:
        rewards = {
            "other": Reward(5.0, {"correct": 1.0}),
            "search_r1": Reward(correct, {"correct": correct}),
        }
        return new_sample(rewards=rewards, reward=0.3, **fields)

    error = SampleError("search_r1", "slime_generate", "RetrievalError", "no")
    samples = [finished(1.0), finished(0.0), finished(0.0), finished(1.0, error=error)]
    groups = [Group(0, samples[0].prompt, samples[:2]), Group(1, samples[0].prompt, samples[2:])]
    assert exact_match_of_groups(groups) == {"exact_match": pytest.approx(1 / 3)}
    assert exact_match_of_groups([]) == {}


@pytest.mark.parametrize("response", ["<answer>" * 200_000, "<answer>" + "a" * 10**6 + "</answer>"])
def test_a_megabyte_is_scored_at_once(response: str) -> None:
    start = time.perf_counter()
    assert score(scored(response), Options(format_reward=0.2)).metrics["correct"] == 0.0
    assert time.perf_counter() - start < 0.2


def test_options_and_reward_travel_to_other_processes() -> None:
    options = Options(data=["a.jsonl"], top_k=2)
    assert pickle.loads(pickle.dumps(options)) == options
    assert pickle.loads(pickle.dumps(slime_reward)) is slime_reward
