"""One weight update of all servers, from pause to continue, seen from the trainer's rank 0."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import urlsplit

import torch
from slime_hookspecs.errors import ConfigError, WeightSyncError
from torch import Tensor

from slime_core.config.schema import WeightsConfig
from slime_core.engine.address import ServingAddress
from slime_core.weights import hf, verify
from slime_core.weights.servers import Server, ask, ask_all, at_once, describe
from slime_core.weights.transports.base import Sent, Transport
from slime_core.weights.transports.disk import DiskTransport
from slime_core.weights.transports.distributed import DistributedTransport, is_loopback
from slime_core.weights.transports.tensor import TensorTransport

#: Weight version of a server whose last update failed.
BROKEN: Final = "broken"
_FLUSH_WAIT_S: Final = 30
_MARK_S: Final = 10.0


@final
class WeightSync:
    """Sends a run's weight updates. Kept from ``connect`` to the end of the run, then closed.

    Args:
        config: Transport, bucket size.
        address: The servers.
        work_dir: Folder for the disk transport; the servers must see it under the same path.
        hf_config: The model's config.json; read from the servers' model folder if not given. Only
            verification needs it.
        same_device: Servers of this machine use the trainer's own GPUs, or none.
    """

    def __init__(
        self,
        config: WeightsConfig,
        address: ServingAddress,
        work_dir: Path,
        *,
        hf_config: Mapping[str, Any] | None = None,
        same_device: bool = True,
    ) -> None:
        self._config = config
        self._same_device = same_device
        self._urls = address.server_urls
        self._work_dir = work_dir
        self._hf_config = hf_config

    def run(
        self, tensors: Iterable[tuple[str, Tensor]], version: int, verify: bool
    ) -> dict[str, float]:
        """Bring new weights to all servers, and let them go on with the new version.

        Requests in flight are ended first: their callers get the tokens so far, which were sampled
        from the old weights. New requests wait. Caches are flushed, so none is computed from old
        weights. The version is set last, so a server says it only once all is in place.

        Args:
            tensors: Whole HF tensors, layer by layer. Always read to the end, also when a server
                fails, because other ranks may be sending.
            version: The new weight version.
            verify: Compare all servers' weights with what was sent; ``verify`` says what it proves.

        Returns:
            ``sync/bytes``, ``sync/seconds``, ``sync/GB_per_s``, ``sync/buckets``,
            ``sync/verified_tensors``.

        Raises:
            WeightSyncError: Names server, request, status and answer. The servers' weight version
                is then ``broken``.
        """
        start = time.perf_counter()
        rest = iter(tensors)
        try:
            with self._paused():
                sent, verified = self._send_verified(rest) if verify else (self._send(rest), 0)
                self._finish(str(version))
        finally:
            for _ in rest:
                pass
        return _metrics(sent, verified, time.perf_counter() - start)

    def close(self) -> None:
        """Give back the transport's resources. May be called twice."""
        transport = self.__dict__.pop("_transport", None)
        if transport is not None:
            transport.close()

    @cached_property
    def _servers(self) -> list[Server]:
        return [describe(url, self._config.timeout_s) for url in self._urls]

    @cached_property
    def _transport(self) -> Transport:
        size = self._config.bucket_mb << 20
        match choose(self._config.transport, self._urls, self._same_device):
            case "tensor":
                return TensorTransport(self._servers, size)
            case "disk":
                return DiskTransport(self._servers, self._work_dir, size)
            case _:
                return DistributedTransport(self._servers, size)

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Nothing is generated within; the servers go on after it, also after an error."""
        servers = self._servers
        try:
            # "retract" would keep requests, but not let their caches be flushed (SGLang 0.5.18).
            ask_all(servers, "/pause_generation", {"mode": "abort"})
            yield
        except BaseException as error:
            at_once(servers, partial(_mark_broken, error=error))
            raise
        ask_all(servers, "/continue_generation", {})

    def _send(self, tensors: Iterable[tuple[str, Tensor]]) -> Sent:
        sent = self._transport.send(tensors)
        if not sent.tensors:
            raise WeightSyncError("an update without any tensor was asked for")
        return sent

    def _send_verified(self, tensors: Iterable[tuple[str, Tensor]]) -> tuple[Sent, int]:
        targets = {server.url: self._target(server) for server in self._servers}
        expected = verify.Checksums(tuple(dict.fromkeys(targets.values())))
        verify.scramble(self._servers)
        sent = self._send(expected.watch(tensors))
        return sent, verify.check(self._servers, targets, expected)

    def _target(self, server: Server) -> verify.Target:
        if not server.plain:
            raise ConfigError(
                f"{server.url} runs with pipeline or expert parallelism, which weight verification "
                "does not know; use --weights-verify never"
            )
        config = self._hf_config or hf.read_config(Path(server.model_path))
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
        return verify.Target(server.tp, server_dtype(server.dtype, config), int(heads))

    def _finish(self, version: str) -> None:
        flush = f"/flush_cache?timeout={_FLUSH_WAIT_S}"
        at_once(self._servers, lambda server: ask(server.url, flush, {}, server.timeout_s))
        body = {"new_version": version, "abort_all_requests": False}
        ask_all(self._servers, "/update_weight_version", body)


def choose(transport: str, urls: Iterable[str], same_device: bool) -> str:
    """The transport that ``auto`` stands for: ``tensor`` where servers can see the tensors.

    Args:
        transport: As configured.
        urls: The servers.
        same_device: Servers of this machine use the trainer's own GPUs, or none.

    Raises:
        ConfigError: ``tensor`` was asked for, and servers have other GPUs.
    """
    here = same_device and all(is_loopback(urlsplit(url).hostname or "") for url in urls)
    if transport == "tensor" and not here:
        raise ConfigError(
            "--weights-transport tensor hands over memory of a GPU that trainer and servers share; "
            "these servers have others: use --colocate, or distributed, or disk"
        )
    if transport != "auto":
        return transport
    return "tensor" if here else "distributed"


def server_dtype(named: str, hf_config: Mapping[str, Any]) -> torch.dtype:
    """The type that a server holds weights in.

    Args:
        named: Its ``--dtype``.
        hf_config: The model's config.json, for ``auto``.
    """
    if named == "auto":
        named = str(hf_config.get("dtype") or hf_config.get("torch_dtype") or "float32")
        named = "float16" if named == "float32" else named
    aliases = {"half": "float16", "float": "float32"}
    found = getattr(torch, aliases.get(named, named).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"a server holds weights as {named!r}, which is no dtype of PyTorch's")
    return found


def _mark_broken(server: Server, error: BaseException) -> None:
    """Let a server go on under a version that no run uses."""
    body = {"new_version": BROKEN, "abort_all_requests": False}
    try:
        ask(server.url, "/update_weight_version", body, _MARK_S)
        ask(server.url, "/continue_generation", {}, _MARK_S)
    except WeightSyncError as other:
        error.add_note(f"nor could it be marked as broken: {other}")


def _metrics(sent: Sent, verified: int, seconds: float) -> dict[str, float]:
    return {
        "sync/bytes": float(sent.bytes),
        "sync/seconds": seconds,
        "sync/GB_per_s": sent.bytes / seconds / 1e9,
        "sync/buckets": float(sent.buckets),
        "sync/verified_tensors": float(verified),
    }
