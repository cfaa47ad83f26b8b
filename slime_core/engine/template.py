"""Conversations as token ids: the first time as a whole, later only what was added."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from slime_hookspecs.records import Message

#: Stands where the model's own words stand, while the words after them are rendered.
MARK: Final = "\u2063slime\u2063turn\u2063"


class TemplateError(ValueError):
    """A conversation that the model's chat template does not take."""


@final
class Template:
    """The model's chat template and tokenizer.

    Args:
        tokenizer: The HF tokenizer of the model.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def whole(
        self, messages: Sequence[Message], tools: Any, arguments: Mapping[str, Any]
    ) -> list[int]:
        """Tokens of a conversation, up to where the model's next turn begins."""
        return self._encode(self.text(messages, tools, arguments))

    def added(
        self,
        before: Sequence[Message],
        new: Sequence[Message],
        tools: Any,
        arguments: Mapping[str, Any],
        last_token: int,
    ) -> list[int] | None:
        """Tokens that follow the model's turn, up to where its next turn begins.

        The turn's own tokens stay as they were sampled. It is rendered as a mark, and what the
        template writes behind the mark is what was added.

        Args:
            before: The conversation, whose last message is the model's turn.
            new: Messages since then.
            tools: Tools of both.
            arguments: Further arguments of the template.
            last_token: Last token of the turn as sampled: where it ended the turn itself, the
                template's own end of the turn is not added again.

        Returns:
            The tokens, or ``None`` where the template does not keep the turn as it is.
        """
        marked = [*before[:-1], {"role": "assistant", "content": MARK}, *new]
        parts = self.text(marked, tools, arguments).split(MARK)
        if len(parts) != 2:
            return None
        ended = self._tokenizer.decode([last_token], skip_special_tokens=False)
        return self._encode(parts[1].removeprefix(ended))

    def text(self, messages: Sequence[Message], tools: Any, arguments: Mapping[str, Any]) -> str:
        """Text of a conversation, up to where the model's next turn begins.

        Raises:
            TemplateError: the template refuses the conversation.
        """
        try:
            rendered: str = self._tokenizer.apply_chat_template(
                list(messages),
                tools=tools or None,
                add_generation_prompt=True,
                tokenize=False,
                **arguments,
            )
        except Exception as error:
            raise TemplateError(f"the chat template refuses this conversation: {error}") from error
        return rendered

    def prompt(self, text: str) -> list[int]:
        """Tokens of plain text that begins a sequence, with what the tokenizer puts before it."""
        return list(self._tokenizer.encode(text))

    def encode(self, text: str) -> list[int]:
        """Tokens of plain text, without special tokens around it."""
        return self._encode(text)

    def decode(self, tokens: Sequence[int], *, special: bool) -> str:
        """Text of tokens; ``special`` keeps special ones."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=not special))

    def at_least(self, characters: int) -> int:
        """Fewest tokens that a text of so many characters can be."""
        return -(-characters // self._longest)

    def words(self, turn: Sequence[int]) -> Sequence[int]:
        """The tokens of a turn without the special one that ended it."""
        ended = bool(turn) and turn[-1] in self._tokenizer.all_special_ids
        return turn[:-1] if ended else turn

    @functools.cached_property
    def _longest(self) -> int:
        """Most characters of a token."""
        return max(map(len, self._tokenizer.get_vocab()))

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))
