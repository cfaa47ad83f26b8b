"""What a client is told when its request cannot be served."""

from __future__ import annotations

import logging
from typing import Final, final

from aiohttp import web
from slime_hookspecs.errors import EngineError

from slime_core.engine.template import TemplateError
from slime_core.engine.transport import RefusedError

LOG = logging.getLogger("slime.gateway")
_NO_GRAMMAR: Final = "--grammar-backend none"


@final
class ApiError(Exception):
    """A request that is refused, or failed.

    Args:
        status: HTTP status.
        message: What is wrong and what would be right.
        code: OpenAI's word for it, where it has one.
        param: Field of the request that it is about.
    """

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


def bad(message: str, param: str | None = None) -> ApiError:
    """A request that is malformed or asks for what there is not."""
    return ApiError(400, message, param=param)


def too_long(most: int, found: int | str) -> ApiError:
    """A conversation that leaves no room for an answer.

    Args:
        most: Tokens that the model takes.
        found: Tokens that the conversation has.
    """
    message = f"This model's maximum context length is {most} tokens, and the conversation has "
    return ApiError(400, f"{message}{found}", code="context_length_exceeded", param="messages")


def told(error: BaseException, asked: str) -> ApiError:
    """What a client is told of an error.

    Args:
        error: What went wrong.
        asked: Method and path of the request.
    """
    match error:
        case ApiError():
            return error
        case TemplateError():
            return bad(str(error), "messages")
        case RefusedError():
            return _refused(error.reason)
        case EngineError():
            return ApiError(502, str(error), code="engine")
        case web.HTTPRequestEntityTooLarge():
            return ApiError(413, f"{asked}: {error.text}", code="request_too_large")
        case web.HTTPException():
            return ApiError(error.status, f"{asked}: {error.reason}")
    LOG.error("the gateway failed on %s", asked, exc_info=error)
    return ApiError(500, f"{type(error).__name__}: {error}")


def _refused(reason: str) -> ApiError:
    """A request that the server itself refuses, as with a schema that is none."""
    if _NO_GRAMMAR not in reason:
        return bad(reason)
    return bad(
        "forced calls, response_format, regex and ebnf need a grammar, and this run's servers have "
        "none: start it with --sglang-grammar-backend xgrammar"
    )
