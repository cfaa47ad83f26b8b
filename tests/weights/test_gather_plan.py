"""Who sends which part of which parameter: pure planning, without processes."""

from __future__ import annotations

import pytest
import torch
from slime_hookspecs.errors import TrainerError

from slime_core.weights.gather import Entry, Held, plan, rounds
from slime_core.weights.maps import WeightMap

NORM = "decoder.final_layernorm.weight"
EMBEDDING = "embedding.word_embeddings.weight"
OUTPUT = "output_layer.weight"
WEIGHTS = WeightMap("LlamaForCausalLM", layers=0, experts=0, groups=1, vocab_size=8, tied=False)


def held(name: str, tp: int = 1, rank: int = 0, rows: int = 4) -> Held:
    return Held(name, tp, rank, (rows, 2), torch.float32)


def test_each_part_comes_from_the_lowest_rank_that_holds_it() -> None:
    first = [[held(EMBEDDING, 2, r)] for r in (0, 1)]
    last = [[held(NORM), held(OUTPUT, 2, r)] for r in (0, 1)]
    # Order of ranks: tensor parallelism fastest, then data, then pipeline.
    entries = plan([*first, *first, *last, *last], WEIGHTS)
    assert [(e.part.name, e.senders) for e in entries] == [
        (EMBEDDING, (0, 1)),
        (NORM, (4,)),
        (OUTPUT, (4, 5)),
    ]


def test_a_part_that_no_rank_holds_is_an_error() -> None:
    ranks = [[held(EMBEDDING, 2, 0), held(NORM), held(OUTPUT)]]
    with pytest.raises(TrainerError, match=r"word_embeddings.*\(1 parameters are incomplete\)"):
        plan(ranks, WEIGHTS)


def test_rounds_are_bounded_but_hold_at_least_one_parameter() -> None:
    entries = [Entry(held(str(i), rows=rows), (0,)) for i, rows in enumerate((1, 1, 9, 1))]
    found = [[e.part.name for e in batch] for batch in rounds(entries, most=16)]
    assert found == [["0", "1"], ["2"], ["3"]]


def test_a_round_counts_the_parts_of_all_ranks() -> None:
    entries = [Entry(held(str(i), 2), (0, 1)) for i in range(2)]
    assert len(list(rounds(entries, most=2 * entries[0].part.nbytes))) == 2
