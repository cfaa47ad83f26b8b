"""Makes ``--enable-deterministic-inference`` work on a CPU, and with it each request's seed.

What a request samples then depends on its tokens, its seed and the weights alone, up to float
noise: batch-invariant kernels are Triton's, but on a CPU the usual ones come within 1e-6 of them.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from slime_core.engine.cpu.murmur import murmur_hash32

ATTENTION: Final = "torch_native"
SAMPLER: Final = "sglang.srt.layers.sampler"
BATCH_INVARIANT: Final = "sglang.srt.batch_invariant_ops.enable_batch_invariant_mode"
SAMPLING_BATCH: Final = "sglang.srt.sampling.sampling_batch_info.SamplingBatchInfo"


def register(registry: Any, kind: Any) -> None:
    """Register the hooks with SGLang's registry; ``kind`` is its ``HookType``."""
    from sglang.srt import server_args

    server_args.add_deterministic_attention_backend_choices([ATTENTION])
    server_args.add_radix_supported_deterministic_attention_backend_choices([ATTENTION])
    registry.register(BATCH_INVARIANT, keep_kernels, kind.REPLACE)
    registry.register(f"{SAMPLER}.murmur_hash32", murmur_hash32, kind.REPLACE)
    registry.register(
        f"{SAMPLER}.top_k_top_p_min_p_sampling_from_probs_torch", apply_min_p, kind.AROUND
    )
    registry.register(f"{SAMPLING_BATCH}.from_schedule_batch", give_seeds, kind.BEFORE)


def keep_kernels(*args: Any, **kwargs: Any) -> None:
    """In place of ``enable_batch_invariant_mode``: leave PyTorch's own kernels."""


def give_seeds(*args: Any, **kwargs: Any) -> None:
    """Give each request without a seed one of its own.

    SGLang would give all of them the same, so that samples of one prompt were copies of each other.
    The request's id is random, and known to all tensor-parallel ranks.
    """
    batch = kwargs.get("batch") or next(a for a in args if hasattr(a, "reqs"))
    for request in batch.reqs:
        if request.sampling_params.sampling_seed is None:
            request.sampling_params.sampling_seed = zlib.crc32(request.rid.encode())


def apply_min_p(
    original: Any,
    probs: Any,
    top_ks: Any,
    top_ps: Any,
    min_ps: Any,
    need_min_p: bool,
    seed: Any,
    positions: Any,
) -> Any:
    """Apply min-p before SGLang's sampler, which refuses it together with seeds by an assertion.

    Its masks keep the most likely tokens each, so their order does not matter.
    """
    if need_min_p and seed is not None:
        lowest = probs.amax(dim=-1, keepdim=True) * min_ps.view(-1, 1)
        probs = probs.masked_fill(probs < lowest, 0.0)
        need_min_p = False
    return original(probs, top_ks, top_ps, min_ps, need_min_p, seed, positions)
