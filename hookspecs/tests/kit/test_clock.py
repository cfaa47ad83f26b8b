"""Virtual time: waiting takes none, and what really happens is still waited for."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest
from slime_hookspecs.testing.kit import VirtualClock


def test_an_hour_takes_no_time() -> None:
    clock, start = VirtualClock(), time.monotonic()
    clock.run(asyncio.sleep(3600))
    assert time.monotonic() - start < 5
    assert clock.elapsed == pytest.approx(3600, abs=0.5)


def test_timers_ring_in_order_and_at_their_time() -> None:
    rung: list[tuple[str, int]] = []

    async def wait(name: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await asyncio.sleep(seconds)
        rung.append((name, round(loop.time() - begin)))

    async def all_of_them() -> None:
        await asyncio.gather(wait("c", 300), wait("a", 10), wait("b", 200))

    clock = VirtualClock()
    clock.run(all_of_them())
    assert rung == [("a", 10), ("b", 200), ("c", 300)]
    assert clock.elapsed == pytest.approx(300, abs=0.5)


def test_the_result_and_the_error_come_through_and_time_adds_up() -> None:
    async def answer() -> int:
        await asyncio.sleep(10)
        return 42

    async def fail() -> None:
        await asyncio.sleep(10)
        raise ValueError("no")

    clock = VirtualClock()
    assert clock.run(answer()) == 42
    with pytest.raises(ValueError, match="no"):
        clock.run(fail())
    assert clock.elapsed == pytest.approx(20, abs=0.5)


def test_a_timeout_ends_what_never_ends() -> None:
    async def forever() -> None:
        await asyncio.wait_for(asyncio.Event().wait(), 100)

    clock = VirtualClock()
    with pytest.raises(TimeoutError):
        clock.run(forever())
    assert clock.elapsed == pytest.approx(100, abs=0.5)


def test_a_thread_at_work_is_waited_for_before_a_deadline_rings() -> None:
    async def work() -> str:
        return await asyncio.wait_for(asyncio.to_thread(lambda: time.sleep(0.03) or "done"), 60)

    assert VirtualClock().run(work()) == "done"


def test_a_process_is_waited_for_before_a_deadline_rings() -> None:
    async def work() -> bytes:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('done')", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(child.communicate(), 60)
        return out

    assert VirtualClock().run(work()) == b"done\n"


def test_a_socket_is_waited_for_before_a_deadline_rings() -> None:
    async def serve() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        found = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        server.close()
        return found

    assert VirtualClock().run(serve()) == b"hello\n"
