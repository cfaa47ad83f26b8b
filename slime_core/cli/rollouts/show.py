"""Samples in the terminal: each kind of tokens is told apart, by colour and by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, final

from rich.console import Console
from rich.text import Text

from slime_core.cli.rollouts.pairs import Comparison, Pair, words
from slime_core.cli.rollouts.rows import TRAINED, Row
from slime_core.cli.rollouts.texts import Piece, Tokenizer, look_of, messages, number, pieces, plain

STYLES: Final = {
    "prompt": "dim",
    "sampled": "green",
    "stale": "yellow",
    "masked": "red",
    "observed": "cyan",
    "demonstrated": "blue",
}
CHANGES: Final = {"=": "", "-": "red strike", "+": "green"}
HEAD_CHARACTERS, TAIL_CHARACTERS = 3000, 1000
_MARGIN: Final = 22


@final
class Printer:
    """Prints samples. Colours are left out in a pipe and under NO_COLOR; names are always there.

    Args:
        tokenizer: Decodes what is not saved as text.
        masks_stale: Whether the run did not train on what older weights wrote.
        full: Whether long texts are printed whole.
    """

    def __init__(self, tokenizer: Tokenizer, *, masks_stale: bool, full: bool) -> None:
        self._tokenizer = tokenizer
        self._masks_stale = masks_stale
        self._full = full
        self._console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)

    def line(self, text: str | Text = "") -> None:
        """Print a line."""
        self._console.print(text)

    def sample(self, row: Row) -> None:
        """Print a sample's facts and its tokens as text."""
        self._head(row)
        for piece in pieces(row, self._tokenizer, masks_stale=self._masks_stale):
            self._piece(row, piece)
        self.line()

    def tokens(self, row: Row) -> None:
        """Print a sample token by token, with log-probs."""
        self._head(row)
        place = 0
        for segment in row.segments:
            look, version = look_of(row, segment, self._masks_stale)
            logprobs = segment.logprobs or [None] * len(segment.tokens)
            for token, logprob in zip(segment.tokens, logprobs, strict=True):
                shown = _logprob(logprob) if segment.kind == "sampled" else ""
                text = self._tokenizer.decode([token])
                said = f"{place:>6} {token:>7} {shown:>9} {_version(version):>4}  "
                self.line(_styled(f"{said}{look:<12} {'' if text is None else repr(text)}", look))
                place += 1
        self.line()

    def comparison(self, found: Comparison, limit: int) -> None:
        """Print what changed over all, then the pairs that differ, the largest changes first."""
        for line in _told(found):
            self.line(line)
        differing = found.differing()
        for pair in differing[:limit]:
            self.line()
            self._pair(pair)
        if len(differing) > limit:
            self.line(f"\n{limit} of {len(differing)} that differ; --limit {len(differing)}")

    def _pair(self, pair: Pair) -> None:
        old, new = pair.before, pair.after
        rise = "" if pair.change is None else f" ({pair.change:+.4g})"
        facts = (
            f"step {old.step}" if old.step == new.step else f"step {old.step} and {new.step}",
            f"group {old.group_index}, sample {old.index}"
            + ("" if old.index == new.index else f" and {new.index}"),
            f"reward {number(old.reward)} to {number(new.reward)}{rise}",
        )
        self.line(Text(" · ".join(facts), style="bold"))
        asked = Text(f"{'prompt':<{_MARGIN - 2}}") + _styled(self._cut(messages(old)), "prompt")
        self.line(Text("  ") + asked)
        for row, sign in ((old, "-"), (new, "+")):
            if row.error is not None:
                self.line(Text(f"  {sign} {plain(row.why)}", style=CHANGES[sign]))
        self.line(Text(f"  {'answer':<{_MARGIN - 2}}") + _changes(old.response, new.response))

    def _head(self, row: Row) -> None:
        self.line(Text(" · ".join(_facts(row)), style="bold"))
        for name, value in _details(row):
            self.line(Text(f"  {name:<{_MARGIN - 2}}{value}"))

    def _piece(self, row: Row, piece: Piece) -> None:
        text = piece.text
        if text is None:
            text = messages(row) if piece.look == "prompt" else "(cannot be decoded here)"
        name = f"{piece.look} {_version(piece.version)}".rstrip()
        first, *more = self._cut(text).split("\n")
        margin = f"  {name:<13}{piece.tokens:>5}  "
        self.line(Text(margin) + _styled(first, piece.look))
        for line in more:
            self.line(Text(" " * _MARGIN) + _styled(line, piece.look))

    def _cut(self, text: str) -> str:
        left_out = len(text) - HEAD_CHARACTERS - TAIL_CHARACTERS
        if self._full or left_out <= 0:
            return text
        said = f"[... {left_out} characters left out; --full shows them ...]"
        return f"{text[:HEAD_CHARACTERS]}\n{said}\n{text[-TAIL_CHARACTERS:]}"


def _facts(row: Row) -> Iterator[str]:
    yield f"step {row.step}"
    yield f"group {row.group_index}"
    yield f"sample {row.index}"
    yield f"reward {number(row.reward)}"
    if row.advantage is not None:
        yield f"advantage {number(row.advantage)}"
    yield row.stop
    yield f"{row.length} tokens"
    if row.fate != TRAINED:
        yield row.fate


def _details(row: Row) -> Iterator[tuple[str, str]]:
    if row.error is not None:
        yield "error", plain(f"{row.why}: {row.error.get('message', '')}")
    if len(row.rewards) > 1:
        parts = (f"{name} {number(_value(reward))}" for name, reward in row.rewards.items())
        yield "rewards", ", ".join(parts)
    if row.prompt.get("label") is not None:
        yield "label", plain(str(row.prompt["label"]))
    if row.times:
        parts = (
            f"{n.removesuffix('_s')} {s:.3f} s" for n, s in row.times.items() if n[-2:] == "_s"
        )
        yield "times", ", ".join(parts)


def _value(reward: Any) -> float | None:
    return reward.get("value") if isinstance(reward, dict) else None


def _logprob(value: float | None) -> str:
    return "-inf" if value is None else f"{value:.4f}"


def _version(version: int) -> str:
    return f"v{version}" if version >= 0 else ""


def _styled(text: str, look: str) -> Text:
    return Text(text, style=STYLES[look])


def _changes(old: str, new: str) -> Text:
    """Words that went and words that came, told apart without colours too."""
    changed = Text()
    for sign, said in words(plain(old), plain(new)):
        bare = said.rstrip()
        marked = said if sign == "=" else f"[{sign}{bare}{sign}]{said[len(bare) :]}"
        changed.append(marked, CHANGES[sign])
    return changed


def _told(found: Comparison) -> Iterator[str]:
    values = found.values()
    before, after = number(values["reward_before"]), number(values["reward_after"])
    yield (
        f"{values['pairs']} pairs: {values['better']} better, {values['worse']} worse; "
        f"mean reward {before} to {after}; {values['same_text']} say the same"
    )
    alone = values["only_before"], values["only_after"]
    if any(alone):
        yield f"without a counterpart: {alone[0]} of the first, {alone[1]} of the second"
