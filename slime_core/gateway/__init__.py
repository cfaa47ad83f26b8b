"""OpenAI's and Anthropic's APIs in the rollout process: agents run unmodified, token for token.

::

    request -> wire (checked) -> conversation (finds the trace that it continues) -> engine
            <- replies (JSON or events) <- parsing (tool calls, reasoning) <-

What the model wrote is kept as it was sampled and is never tokenised again.
"""
