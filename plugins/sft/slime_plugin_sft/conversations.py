"""Conversations from rows of a data file, with the messages that are to be imitated."""

from __future__ import annotations

from pathlib import Path

from slime_hookspecs import Message, Prompt
from slime_hookspecs.datasets import Row, excerpt, read_rows

from slime_plugin_sft.options import Options

EXAMPLE = '[{"role": "user", "content": "1+1="}, {"role": "assistant", "content": "2"}]'


def read_conversations(path: Path, options: Options) -> list[Prompt]:
    """All conversations of a file. ``metadata`` tells each one's place and imitated messages.

    Raises:
        DataError: the file or a row is wrong; names file, line, what was found, what is right.
    """
    return [_conversation(row, options) for row in read_rows(path)]


def _conversation(row: Row, options: Options) -> Prompt:
    messages = _messages(row, options)
    for number, message in enumerate(messages):
        _check(row, number, message)
    trained = _trained(messages, options)
    if not trained:
        row.refuse("the conversation has no assistant message to imitate")
    if trained[0] == 0:
        row.refuse("the conversation begins with the message to imitate; nothing leads up to it")
    return Prompt(
        id=f"{row.file}/{row.number}",
        messages=[{k: v for k, v in m.items() if k != "train"} for m in messages],
        metadata={"place": row.place, "trained": trained},
        tools=row.values.get("tools") or None,
    )


def _messages(row: Row, options: Options) -> list[Message]:
    if options.messages_column in row.values:
        return _as_messages(row, options.messages_column)
    if options.prompt_column not in row.values and options.response_column not in row.values:
        row.get(options.messages_column, "--sft.messages-column")
    prompt = row.get(options.prompt_column, "--sft.prompt-column")
    response = row.get(options.response_column, "--sft.response-column")
    if not isinstance(response, str):
        row.refuse(f"{options.response_column!r} is {excerpt(response)}; it must be a string")
    if isinstance(prompt, str):
        before: list[Message] = [{"role": "user", "content": prompt}]
    else:
        # What was said before is given; only the response is to be imitated.
        before = [{**m, "train": False} for m in _as_messages(row, options.prompt_column)]
    return [*before, {"role": "assistant", "content": response}]


def _as_messages(row: Row, column: str) -> list[Message]:
    given = row.values[column]
    if not isinstance(given, list) or not given or not all(isinstance(m, dict) for m in given):
        row.refuse(f"{column!r} is {excerpt(given)}; it must be messages like {EXAMPLE}")
    # Parquet gives every message all columns, None where there is nothing.
    return [{key: v for key, v in m.items() if v is not None} for m in given]


def _check(row: Row, number: int, message: Message) -> None:
    if not isinstance(message.get("role"), str):
        row.refuse(f"message {number} is {excerpt(message)}, without a role")
    if "content" not in message and "tool_calls" not in message:
        row.refuse(f"message {number} is {excerpt(message)}, without content")
    train = message.get("train", False)
    if not isinstance(train, bool):
        row.refuse(f"message {number} has train {excerpt(train)}; it must be true or false")
    if train and message["role"] != "assistant":
        row.refuse(
            f"message {number} of role {message['role']!r} has train true; "
            "only assistant messages are imitated"
        )


def _trained(messages: list[Message], options: Options) -> list[int]:
    assistant: list[int] = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    chosen = assistant[-1:] if options.train_on == "last" else assistant
    return [i for i in chosen if messages[i].get("train", True)]
