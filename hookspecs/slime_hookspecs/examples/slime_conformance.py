"""What the suite should know of a task that writes words backwards: right and wrong answers."""

from slime_hookspecs import Conformance, Prompt, hookimpl

WORD = Prompt("abc", [{"role": "user", "content": "Write backwards: abc"}], label="cba")


@hookimpl
def slime_conformance() -> Conformance:
    return Conformance(
        capabilities=frozenset({"deterministic"}),
        gold=[(WORD, "cba"), (WORD, " cba\n")],
        bad=[(WORD, ""), (WORD, "abc"), (WORD, "cba or abc")],
        reward_range=(0.0, 1.0),
    )
