"""Two held-out words, once greedily and once with four samples each."""

from slime_hookspecs import EvalSet, Prompt, Sampling, hookimpl

WORDS = [Prompt(w, [{"role": "user", "content": w}], label=w[::-1]) for w in ("reward", "live")]


@hookimpl
def slime_eval_sets() -> list[EvalSet]:
    return [
        EvalSet("words_greedy", WORDS, sampling=Sampling(temperature=0.0)),
        EvalSet("words_sampled", WORDS, samples_per_prompt=4),
    ]
