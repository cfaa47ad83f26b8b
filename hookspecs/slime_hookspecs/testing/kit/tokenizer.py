"""A tokenizer of one token a byte, with a chat template that keeps what it wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, final

from slime_hookspecs.records import Message
from slime_hookspecs.testing.kit.calls import spell

SPECIALS: Final = (
    "<|pad|>",
    "<|end|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|tool|>",
    "<|endoftext|>",
    "<|think|>",
)
END: Final = SPECIALS.index("<|end|>")
ASSISTANT: Final = SPECIALS.index("<|assistant|>")


@final
class TinyTokenizer:
    """264 tokens: 8 special ones, then the bytes. A turn is ``<|role|>content<|end|>``.

    >>> tokenizer = TinyTokenizer()
    >>> tokenizer.decode(tokenizer.encode("4 ∞")) == "4 ∞"
    True
    >>> tokens = tokenizer.render([{"role": "user", "content": "hi"}])
    >>> tokenizer.show(tokens)
    '<|user|>hi<|end|><|assistant|>'
    """

    end: Final = END

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; what looks like a special token in it is text."""
        return [byte + len(SPECIALS) for byte in text.encode("utf-8", "surrogatepass")]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids, special tokens left out; bytes that are no UTF-8 become U+FFFD."""
        values = bytes(token - len(SPECIALS) for token in tokens if token >= len(SPECIALS))
        return values.decode("utf-8", "replace")

    def show(self, tokens: Sequence[int]) -> str:
        """Text of token ids, special tokens spelt out: for messages and tests."""
        pieces, plain = [], list[int]()
        for token in tokens:
            if token >= len(SPECIALS):
                plain.append(token)
                continue
            pieces += [self.decode(plain), SPECIALS[token]]
            plain = []
        return "".join([*pieces, self.decode(plain)])

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Token ids of a conversation; more messages only ever add tokens.

        Raises:
            ValueError: a role is not system, user, assistant or tool.
        """
        tokens = self._turn("system", json.dumps(list(tools))) if tools else []
        for message in messages:
            tokens += self._turn(str(message["role"]), _text(message))
        return [*tokens, ASSISTANT] if add_generation_prompt else tokens

    def _turn(self, role: str, text: str) -> list[int]:
        if role not in ("system", "user", "assistant", "tool"):
            raise ValueError(f"role {role!r} is not one of system, user, assistant, tool")
        return [SPECIALS.index(f"<|{role}|>"), *self.encode(text), END]


def _text(message: Message) -> str:
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "".join(str(part.get("text", "")) for part in content)
    calls = message.get("tool_calls")
    return content + spell(calls or ())
