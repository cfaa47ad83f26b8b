"""What a client is told when its request cannot be served, in OpenAI's shape."""

from __future__ import annotations

from typing import Any, final


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

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": error}


def bad(message: str, param: str | None = None) -> ApiError:
    """A request that is malformed or asks for what there is not."""
    return ApiError(400, message, param=param)
