"""The tokenizer is exact, and the factories make what a run would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slime_hookspecs import Prompt, Reward, SampleError, Segment, StopReason
from slime_hookspecs.testing.kit import (
    TinyTokenizer,
    make_batch,
    make_context,
    make_group,
    make_prompt,
    make_run,
    make_sample,
)
from slime_hookspecs.testing.kit.engine import logprobs
from slime_hookspecs.testing.kit.tokenizer import END, SPECIALS

TOKENIZER = TinyTokenizer()
roles = st.sampled_from(["system", "user", "assistant", "tool"])
messages = st.lists(st.builds(lambda r, c: {"role": r, "content": c}, roles, st.text(max_size=5)))


@given(st.text())
def test_text_comes_back_as_it_was(text: str) -> None:
    tokens = TOKENIZER.encode(text)
    assert len(tokens) == len(text.encode())
    assert all(len(SPECIALS) <= token < 264 for token in tokens)
    assert TOKENIZER.decode(tokens) == text


@given(st.lists(st.integers(0, 263)))
def test_any_tokens_have_a_text(tokens: list[int]) -> None:
    assert isinstance(TOKENIZER.decode(tokens), str)
    assert isinstance(TOKENIZER.show(tokens), str)


def test_special_tokens_are_hidden_in_text_and_spelt_out_for_people() -> None:
    tokens = [3, *TOKENIZER.encode("a"), END, 4]
    assert TOKENIZER.decode(tokens) == "a"
    assert TOKENIZER.show(tokens) == "<|user|>a<|end|><|assistant|>"
    spelt = TOKENIZER.encode("<|end|>")
    assert END not in spelt
    assert TOKENIZER.decode(spelt) == "<|end|>"


@given(messages, messages)
def test_more_messages_only_add_tokens(first: list[Any], more: list[Any]) -> None:
    before = TOKENIZER.render(first, add_generation_prompt=False)
    after = TOKENIZER.render([*first, *more], add_generation_prompt=False)
    assert after[: len(before)] == before


def test_a_conversation_is_rendered_turn_by_turn_with_its_tools_first() -> None:
    parts = [{"type": "text", "text": "hi"}, {"type": "text", "text": "!"}]
    tokens = TOKENIZER.render([{"role": "user", "content": parts}], [{"name": "add"}])
    assert TOKENIZER.show(tokens) == (
        '<|system|>[{"name": "add"}]<|end|><|user|>hi!<|end|><|assistant|>'
    )
    with pytest.raises(ValueError, match="role 'wizard' is not one of"):
        TOKENIZER.render([{"role": "wizard", "content": ""}])


def test_a_prompt_is_one_user_message() -> None:
    assert make_prompt("1+1=", "2", metadata={"level": 1}) == Prompt(
        "prompt-1+1=", [{"role": "user", "content": "1+1="}], label="2", metadata={"level": 1}
    )


def test_samples_have_numbers_of_their_own() -> None:
    first, second = make_sample(), make_sample()
    assert (first.stop, len(first.trace), first.reward) == (StopReason.PENDING, 0, None)
    assert first.index != second.index
    assert make_sample(index=7, group_index=3).index == 7


def test_a_finished_sample_has_the_tokens_that_its_response_says() -> None:
    sample = make_sample(make_prompt("2+2="), response="4", reward=0.5)
    prompt = TOKENIZER.render([{"role": "user", "content": "2+2="}])
    tokens = (*TOKENIZER.encode("4"), END)
    assert sample.trace.segments == (
        Segment("prompt", tuple(prompt)),
        Segment("sampled", tokens, tuple(logprobs(tokens, len(prompt))), 1),
    )
    assert (sample.stop, sample.response) == (StopReason.STOP, "4")
    assert (sample.reward, sample.rewards) == (0.5, {"made": Reward(0.5)})
    assert make_sample(tokens=TOKENIZER.encode("no end")).response == "no end"


def test_a_group_has_a_failed_sample_where_a_reward_is_missing() -> None:
    group = make_group([0.0, None, 1.0], make_prompt("x"), index=5)
    assert [s.reward for s in group.samples] == [0.0, None, 1.0]
    assert [s.response for s in group.scored] == ["answer 0", "answer 2"]
    failed = group.samples[1]
    assert failed.error == SampleError("made", "slime_reward", "ValueError", "made to fail")
    assert failed.stop is StopReason.FAILED
    assert {s.group_index for s in group.samples} == {group.index} == {5}
    assert {s.prompt.id for s in group.samples} == {"prompt-x"}


def test_a_run_and_a_context_take_what_a_test_says(tmp_path: Path) -> None:
    run = make_run(tmp_path, seed=7)
    assert (run.directory, run.model, run.seed) == (tmp_path, tmp_path / "model", 7)
    context = make_context({"a": 1}, run, step=3, evaluating="heldout")
    found = (context.run, context.options, context.step, context.evaluating)
    assert found == (run, {"a": 1}, 3, "heldout")
    assert make_context().run == make_run()


def test_a_batch_has_every_column_that_the_contract_names() -> None:
    batch, policy = make_batch([4, 3], prompt_tokens=2)
    assert {name: list(column.shape) for name, column in batch.items()} == {
        "tokens": [7],
        "loss_mask": [7],
        "loss_weights": [7],
        "rollout_logprobs": [7],
        "old_logprobs": [7],
        "advantages": [7],
        "sample_advantages": [2],
        "sample_index": [7],
        "lengths": [2],
        "weight_versions": [7],
    }
    assert batch["loss_mask"].tolist() == [0, 0, 1, 1, 0, 0, 1]
    assert batch["sample_index"].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert batch["weight_versions"].tolist() == [-1, -1, 1, 1, -1, -1, 1]
    assert float(batch["loss_weights"].sum()) == pytest.approx(1.0)
    assert policy.logprobs.requires_grad
    assert policy.entropy.requires_grad


def test_tokens_that_the_loss_does_not_see_have_no_log_probs() -> None:
    batch, policy = make_batch([4, 3])
    given_tokens = batch["loss_mask"] == 0
    for column in (batch["rollout_logprobs"], batch["old_logprobs"], policy.logprobs):
        assert column[given_tokens].tolist() == [0.0] * 4
        assert (column[~given_tokens] < 0).all()


def test_a_sample_of_a_batch_does_not_depend_on_the_others() -> None:
    alone, _ = make_batch([4], seed=3)
    beside, _ = make_batch([4, 6], seed=3)
    for name in ("tokens", "old_logprobs", "advantages"):
        assert alone[name].tolist() == beside[name][:4].tolist()
    other, _ = make_batch([4], seed=4)
    assert alone["tokens"].tolist() != other["tokens"].tolist()


def test_a_batch_can_be_double_and_empty() -> None:
    import torch

    batch, policy = make_batch([3], double=True)
    assert batch["advantages"].dtype == policy.logprobs.dtype == torch.float64
    assert batch["tokens"].dtype == torch.int64
    masked, _ = make_batch([2], prompt_tokens=9)
    assert masked["loss_weights"].tolist() == [0.0, 0.0]
