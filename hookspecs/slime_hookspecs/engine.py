"""The handle through which a generate plugin speaks to the inference servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

from slime_hookspecs.records import Message, StopReason
from slime_hookspecs.trace import Trace


@final
@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. ``None`` leaves a field as the run has it.

    Attributes:
        max_new_tokens: Most tokens to add in this call.
        temperature: 0 is greedy.
        top_p: Nucleus mass.
        top_k: Most candidates; -1 is all.
        stop: Strings that end the turn.
        stop_token_ids: Tokens that end the turn, besides the model's own.
        extra: Any other field of SGLang's ``sampling_params``, passed as it is.
    """

    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: Sequence[str] | None = None
    stop_token_ids: Sequence[int] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """One sample's way to the servers, through the router. Sticky: its turns meet one server."""

    @property
    def openai_base_url(self) -> str:
        """Base URL of this sample for clients that know only the OpenAI API.

        What they ask there is kept in ``openai_traces``, token for token.
        """

    @property
    def openai_api_key(self) -> str:
        """The key that those clients send."""

    @property
    def openai_traces(self) -> list[Trace]:
        """What was asked through ``openai_base_url`` so far: one trace for each conversation.

        A request that carries on a conversation carries on its trace. One whose history was edited
        or compacted begins a trace of its own; so does each of several answers. In the order in
        which their last turns ended. The traces are the gateway's own: copy one before you append.
        """

    @property
    def context_length(self) -> int:
        """Most tokens, prompt and response together, that the model takes."""

    @property
    def weight_version(self) -> int:
        """Version of the weights that the servers hold now."""

    async def generate(self, trace: Trace, sampling: Sampling | None = None) -> StopReason:
        """Continue the trace from its exact tokens and append what the model writes.

        Appends one sampled segment with log-probs and weight version. The tokens come from the
        server and are never re-tokenised.

        Returns:
            ``STOP``, ``LENGTH``, ``CONTEXT`` (nothing or only a part fitted) or ``ABORTED`` (the
            partial tokens are appended).

        Raises:
            EngineError: no server answered, after retries.
        """

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Token ids of a conversation in the model's chat template."""

    def parse(self, trace: Trace, tools: Sequence[dict[str, Any]] | None = None) -> Message:
        """The assistant message that the model's last turn in the trace is.

        Tool calls and reasoning are found by SGLang's parsers of the names that
        ``--sglang-tool-call-parser`` and ``--sglang-reasoning-parser`` give. ``tool_calls`` has
        OpenAI's form, arguments as JSON text; a malformed call stays in ``content``.

        Raises:
            EngineError: tools are given and the run names no parser for calls.
        """

    def extend(
        self,
        trace: Trace,
        messages: Sequence[Message],
        new: Sequence[Message],
        tools: Sequence[dict[str, Any]] | None = None,
    ) -> list[int]:
        """Token ids to append after a turn of the model, so that it may speak again.

        They are the end of its turn where it did not write that itself, the new messages, and the
        beginning of its next turn. The turn's own tokens stay as they were sampled.

        Args:
            trace: Ends with the model's turn.
            messages: The conversation so far, the turn's message last.
            new: What tools, users or an environment say next.
            tools: Tools that the conversation began with.

        Raises:
            EngineError: the chat template does not keep earlier turns as they are.
        """

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids, special tokens left out."""

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text, without special tokens: for tool output to be observed."""

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST JSON through the router and return the JSON answer: SGLang's API, free of ours.

        Raises:
            EngineError: the answer was not 2xx, with its status and text.
        """
