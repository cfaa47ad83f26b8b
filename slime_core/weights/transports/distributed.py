"""Weights through a process group of the trainer's rank 0 and all servers' ranks."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, final
from urllib.parse import urlsplit

import torch
import torch.distributed as dist
from slime_hookspecs.errors import WeightSyncError
from torch import Tensor

from slime_core.weights import process_group
from slime_core.weights.buckets import Bucket, pack
from slime_core.weights.servers import Server, ask
from slime_core.weights.transports.base import KEEP_CACHE, Sent

#: Seconds that the meeting, and each broadcast, may take.
TIMEOUT_S: Final = 120.0
POLL_S: Final = 0.002
LEAVE_S: Final = 10.0


@final
class DistributedTransport:
    """One flattened broadcast a bucket, on NCCL or gloo. The group lives until ``close``."""

    def __init__(self, servers: Sequence[Server], bucket_bytes: int) -> None:
        self._servers = tuple(servers)
        self._bucket_bytes = bucket_bytes
        self._name = f"slime-weights-{uuid.uuid4().hex[:12]}"
        self._backend = "nccl" if torch.cuda.is_available() else "gloo"
        self._group: Any = None

    def send(self, tensors: Iterable[tuple[str, Tensor]]) -> Sent:
        """As ``Transport.send``; the first call forms the group."""
        if self._group is None:
            self._group = self._join()
        sent = Sent()
        for bucket in pack(tensors, self._bucket_bytes):
            self._send_bucket(bucket)
            sent.add(len(bucket.tensors), bucket.nbytes)
        return sent

    def close(self) -> None:
        """Leave the group and make the servers leave it."""
        group, self._group = self._group, None
        if group is None:
            return
        for server in self._servers:
            with suppress(WeightSyncError):  # it may be gone already
                name = {"group_name": self._name}
                ask(server.url, "/destroy_weights_update_group", name, LEAVE_S)
        dist.destroy_process_group(group)

    def _join(self) -> Any:
        host = _own_address(self._servers)
        with socket.socket() as s:
            s.bind((host, 0))
            port = s.getsockname()[1]
        world = 1 + sum(server.tp for server in self._servers)
        with ThreadPoolExecutor(len(self._servers)) as pool:
            answers = [
                pool.submit(ask, server.url, "/init_weights_update_group", body, server.timeout_s)
                for server, body in self._invitations(host, port, world)
            ]
            try:
                group = process_group.join(
                    self._backend,
                    host,
                    port,
                    world=world,
                    rank=0,
                    name=self._name,
                    timeout_s=TIMEOUT_S,
                )
            except Exception as error:
                _raise_first(answers)
                raise WeightSyncError(f"{self._urls()}: no group formed: {error}") from error
            _raise_first(answers)
        return group

    def _invitations(
        self, host: str, port: int, world: int
    ) -> Iterable[tuple[Server, dict[str, Any]]]:
        offset = 1
        for server in self._servers:
            body = {"master_address": host, "master_port": port, "rank_offset": offset}
            body |= {"world_size": world, "group_name": self._name, "backend": self._backend}
            yield server, body
            offset += server.tp

    def _send_bucket(self, bucket: Bucket) -> None:
        body = {"names": bucket.names, "dtypes": bucket.dtypes, "shapes": bucket.shapes}
        body |= {"group_name": self._name, "load_format": "flattened_bucket", **KEEP_CACHE}
        with ThreadPoolExecutor(len(self._servers)) as pool:
            answers = [
                pool.submit(ask, s.url, "/update_weights_from_distributed", body, s.timeout_s)
                for s in self._servers
            ]
            sent = _broadcast(bucket.flatten(), self._group)
            # A server that refuses never joins the broadcast: do not wait for it then.
            while not sent.done() and not any(_failed(a) for a in answers):
                time.sleep(POLL_S)
            _raise_first(answers)
            sent.result()

    def _urls(self) -> str:
        return ", ".join(server.url for server in self._servers)


def _broadcast(tensor: Tensor, group: Any) -> Future[None]:
    """Send from a thread of its own: NCCL meets its peers in the first call, and does not return
    from it where one of them failed. The thread ends with the process then.
    """
    sent: Future[None] = Future()

    def work() -> None:
        try:
            if tensor.is_cuda:
                torch.cuda.set_device(tensor.device)  # a thread begins on the first one
            dist.broadcast(tensor, 0, group=group)
            if tensor.is_cuda:
                torch.cuda.current_stream().synchronize()
            sent.set_result(None)
        except Exception as error:
            sent.set_exception(error)

    threading.Thread(target=work, name="broadcast", daemon=True).start()
    return sent


def _failed(answer: Future[Any]) -> bool:
    return answer.done() and answer.exception() is not None


def _raise_first(answers: Sequence[Future[Any]]) -> None:
    """Raise the first failure among the answers; waits for those before it."""
    for answer in sorted(answers, key=lambda a: not _failed(a)):
        answer.result()


def _own_address(servers: Sequence[Server]) -> str:
    """The address of this machine under which all servers can reach it."""
    hosts = [urlsplit(server.url).hostname or "" for server in servers]
    remote = [host for host in hosts if not is_loopback(host)]
    if not remote:
        return "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((remote[0], 9))  # sends nothing; only picks the interface
        return str(s.getsockname()[0])


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine under its internal name."""
    return host in ("localhost", "::1") or host.startswith("127.")
