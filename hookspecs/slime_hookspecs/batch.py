"""What a loss sees: packed tokens of one micro-batch, the policy's view of them, and its answer.

Tensors are torch's, but this module imports none of it: only the annotations name the types.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, final

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any

Batch: TypeAlias = Mapping[str, "Tensor"]
"""One micro-batch of one data-parallel rank, samples packed end to end.

``tokens`` is the number of tokens in all samples together, ``samples`` the number of samples.
Position ``i`` of a per-token tensor speaks of token ``i``, i.e. ``logprobs[i]`` is the log-prob of
``batch["tokens"][i]`` given the tokens before it in the same sample; the first token of a sample
has mask 0 and log-prob 0.

* ``tokens``            int64 ``[tokens]``, token ids
* ``loss_mask``         float32 ``[tokens]``, 1 where the loss sees the token
* ``loss_weights``      float32 ``[tokens]``, mask over the global normaliser: the loss is
  ``(per_token * loss_weights).sum()``, and these sums add up over micro-batches and ranks
* ``rollout_logprobs``  float32 ``[tokens]``, from the server that sampled
* ``old_logprobs``      float32 ``[tokens]``, of the trainer's policy before the step's first update
* ``advantages``        float32 ``[tokens]``, from ``slime_token_advantage``
* ``sample_advantages`` float32 ``[samples]``, from ``slime_advantage``
* ``sample_index``      int64 ``[tokens]``, which of the micro-batch's samples the token belongs to
* ``sample_indices``    int64 ``[samples]``, ``Sample.index`` of each
* ``lengths``           int64 ``[samples]``, tokens a sample
* ``weight_versions``   int64 ``[tokens]``, of the weights that sampled the token, else -1

and every ``BatchField`` that a plugin declared, under its name.
"""

CORE_FIELDS: Final = frozenset(
    {
        "tokens",
        "loss_mask",
        "loss_weights",
        "rollout_logprobs",
        "old_logprobs",
        "advantages",
        "sample_advantages",
        "sample_index",
        "sample_indices",
        "lengths",
        "weight_versions",
    }
)
"""Keys of a batch that the core fills: all that are listed above."""


@final
@dataclass(frozen=True, slots=True)
class BatchField:
    """A plugin's own data on its way from rollout to loss.

    Set ``sample.fields[name]`` in any rollout hook; read ``batch[name]`` in any trainer hook.

    Attributes:
        name: Key in both; a Python identifier, unique in the run.
        per: ``token`` (one value for each token of the trace) or ``sample``.
        dtype: ``float32`` or ``int64``.
        shape: Trailing shape of one value; ``()`` is a number.
        default: Value where a sample does not set the field; ``None`` makes it required.
    """

    name: str
    per: Literal["token", "sample"]
    dtype: Literal["float32", "int64"] = "float32"
    shape: tuple[int, ...] = ()
    default: float | None = None


def wrong_batch_field(field: object) -> Iterator[str]:
    """What is wrong with one of the values that ``slime_batch_fields`` returned."""
    if not isinstance(field, BatchField):
        yield "it must return a list of BatchField"
        return
    name: Any = field.name
    if not (isinstance(name, str) and name.isidentifier()) or keyword.iskeyword(name):
        yield "the name is not a Python identifier"
    if name in CORE_FIELDS:
        yield "the core fills a batch field of this name"
    if field.per not in ("token", "sample"):
        yield "per must be 'token' or 'sample'"
    if field.dtype not in ("float32", "int64"):
        yield "dtype must be 'float32' or 'int64'"
    if not isinstance(field.shape, tuple) or not all(_is_size(size) for size in field.shape):
        yield "shape must be a tuple of positive whole numbers"
    if not isinstance(field.default, int | float | None):
        yield "default must be a number, or None where every sample sets the field"
    elif field.dtype == "int64" and not float(field.default or 0).is_integer():
        yield "default must be a whole number, as dtype says"


def _is_size(size: object) -> bool:
    return isinstance(size, int) and size > 0


class Policy(Protocol):
    """The model that is being trained, on one micro-batch."""

    @property
    def logprobs(self) -> Tensor:
        """Log-probs of ``batch["tokens"]``, float32 ``[tokens]``, with gradient."""

    @property
    def entropy(self) -> Tensor:
        """Entropy in nats of the distribution that each token was drawn from, float32 ``[tokens]``.

        Computed when first read. Carries a gradient.
        """


@final
@dataclass(frozen=True, slots=True)
class Loss:
    """What ``slime_loss`` returns.

    Attributes:
        per_token: Loss of each token, float32 ``[tokens]``, not yet masked or averaged: the core
            multiplies by ``loss_weights`` and sums, so that the loss is the same at every
            parallelism and micro-batching.
        metrics: Per-token values ``[tokens]`` to report as means over trained tokens. Detached.
    """

    per_token: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
