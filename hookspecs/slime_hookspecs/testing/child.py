"""Another Python process that knows the plugin under test, to run what may hang, crash or leak.

The parent sends one line of JSON a call, ``{"function": "module:name", "payload": ...}``, and
reads one line back. The child answers on a pipe of its own, so that a plugin may print.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Final, final

from slime_hookspecs.testing.checks import NotApplicable
from slime_hookspecs.testing.raised import ChildDied, ChildRaised
from slime_hookspecs.testing.target import Target

if TYPE_CHECKING:
    from slime_hookspecs.testing.subject import Subject

MAX_TAIL: Final = 600


@final
class Child:
    """A process that serves calls until it is closed. Use it as a context manager.

    Args:
        target: The plugin under test; the child imports it when a call needs it.
        hash_seed: ``PYTHONHASHSEED`` of the child.
        group: Whether the child leads a process group, which is killed as a whole.
    """

    def __init__(self, target: Target, *, hash_seed: str = "random", group: bool = False) -> None:
        self._group = group
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        read, write = os.pipe()
        self._answers = read
        self._unread = b""
        environment = {
            **os.environ,
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        code = f"from slime_hookspecs.testing.child import serve; serve({write})"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, target.to_json()],
            stdin=subprocess.PIPE,
            stdout=self._errors,
            stderr=self._errors,
            pass_fds=(write,),
            env=environment,
            start_new_session=group,
        )
        os.close(write)

    def call(self, function: Callable[..., Any], payload: Any = None, *, timeout_s: float) -> Any:
        """What ``function(subject, payload)`` returns in the child, as JSON values.

        Args:
            function: A function of a module, found there by name.
            payload: A JSON value.
            timeout_s: Seconds after which the child is killed.

        Raises:
            ChildRaised: the function raised.
            NotApplicable: the function raised that.
            ChildDied: the child crashed or exited, or its time was up.
        """
        name = f"{function.__module__}:{function.__qualname__}"
        line = json.dumps({"function": name, "payload": payload}).encode() + b"\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ChildDied(self._end()) from None
        answer = json.loads(self._read_line(time.monotonic() + timeout_s, timeout_s))
        if "not_applicable" in answer:
            raise NotApplicable(answer["not_applicable"])
        if "raised" in answer:
            raise ChildRaised(answer["raised"], answer["mistake"])
        return answer["value"]

    def close(self) -> None:
        """End the process and wait for it."""
        self._kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        if self._answers >= 0:
            os.close(self._answers)
            self._answers = -1
        self._errors.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_line(self, until: float, timeout_s: float) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    self._kill()
                    self._process.wait()
                    raise ChildDied(f"did not finish within {timeout_s:g} s and was killed")
                piece = os.read(self._answers, 1 << 16)
                if not piece:
                    raise ChildDied(self._end())
                self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _end(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        tail = self._errors.read().decode(errors="replace").strip()[-MAX_TAIL:]
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return f"ended with {how}" + (f": {tail}" if tail else "")

    def _kill(self) -> None:
        if self._process.poll() is not None and not self._group:
            return
        try:
            if self._group:
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        except ProcessLookupError:
            pass


def serve(answers: int) -> None:
    """Answer calls from standard input on file descriptor ``answers`` until there are no more."""
    from slime_hookspecs.testing.subject import Subject

    subject = Subject(Target.from_json(sys.argv[1]))
    with os.fdopen(answers, "w") as out:
        os.set_inheritable(answers, False)
        for line in sys.stdin:
            out.write(json.dumps(_answer(subject, json.loads(line))) + "\n")
            out.flush()


def _answer(subject: Subject, request: dict[str, Any]) -> dict[str, Any]:
    module, _, name = request["function"].partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
        return {"value": function(subject, request["payload"])}
    except NotApplicable as error:
        return {"not_applicable": str(error)}
    except Exception as error:
        return {"raised": subject.told(error), "mistake": subject.mistake(error)}
