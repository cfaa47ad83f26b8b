"""Loss and token advantage: right in shape, in gradient, and however samples are packed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from slime_hookspecs.batch import Loss
from slime_hookspecs.testing.checks import CheckFailed, Function, NotApplicable, check
from slime_hookspecs.testing.kit.batches import MadePolicy, make_batch
from slime_hookspecs.testing.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any

LOSS: Final = ("slime_loss",)
BOTH: Final = ("slime_loss", "slime_token_advantage")
NEEDS: Final = ("torch",)
STEP: Final = 1e-6


def _check(
    name: str, hooks: Sequence[str], capability: str | None = None
) -> Callable[[Function], Function]:
    return check(
        *(f"loss.{name}", "loss"), hooks=hooks, needs=NEEDS, capability=capability, timeout_s=60.0
    )


@_check("shape", BOTH)
def shape(subject: Subject) -> None:
    """One value a token comes back, metrics too, and in the dtype of the batch."""
    for lengths in ((5, 3), (4,), (2, 9, 1)):
        batch, policy = _batch(subject, lengths)
        for name, value in _tensors(subject, batch, policy, strict=True).items():
            found = tuple(getattr(value, "shape", ())), getattr(value, "dtype", type(value))
            if found != ((sum(lengths),), batch["advantages"].dtype):
                raise CheckFailed(f"{name} is {found[1]} {list(found[0])}; {[sum(lengths)]} is due")


@_check("finite", BOTH)
def finite(subject: Subject) -> None:
    """Values and gradients are finite: far from the old policy, and where no token is trained."""
    for what, batch, policy in _hard_cases(subject):
        for name, value in _tensors(subject, batch, policy).items():
            if not bool(value.isfinite().all()):
                raise CheckFailed(f"{name} is not finite where {what}")
        if "slime_loss" in subject.hooks:
            found = _gradient(subject, batch, policy)
            if not bool(found.isfinite().all()):
                raise CheckFailed(f"the gradient is not finite where {what}")


@_check("masked_tokens_have_no_gradient", LOSS)
def masked_tokens_have_no_gradient(subject: Subject) -> None:
    """Tokens that the loss must not see get no gradient once the core has weighted it."""
    batch, policy = _batch(subject, (6, 4))
    gradient = _gradient(subject, batch, policy)
    if bool((gradient[batch["loss_mask"] == 0] != 0).any()):
        raise CheckFailed("a token with mask 0 gets a gradient; a token's loss is its own only")


@_check("learns", LOSS)
def learns(subject: Subject) -> None:
    """Trained tokens get a gradient."""
    batch, policy = _batch(subject, (6, 4))
    if not bool(_gradient(subject, batch, policy).any()):
        raise CheckFailed("no token gets a gradient; is policy.logprobs detached?")


@_check("gradient", LOSS)
def gradient(subject: Subject) -> None:
    """The gradient is that of finite differences, in float64.

    A loss that holds a part constant on purpose, as a detached importance weight, is exempt with
    that reason.
    """
    import torch

    batch, policy = _batch(subject, (6, 4), double=True)
    found = _gradient(subject, batch, policy)
    if not bool(found.any()):
        raise NotApplicable("no token gets a gradient, which loss.learns reports")
    with torch.no_grad():
        for place in range(len(found)):
            step = torch.zeros_like(policy.logprobs)
            step[place] = STEP
            up, down = (
                _total(subject, batch, replace(policy, logprobs=policy.logprobs + sign * step))
                for sign in (1, -1)
            )
            expected = float(up - down) / (2 * STEP)
            if abs(float(found[place]) - expected) > 1e-5 * max(1.0, abs(expected)):
                raise CheckFailed(
                    f"the gradient of token {place} is {float(found[place]):.6g}, and finite "
                    f"differences give {expected:.6g}; is something detached that should not be?"
                )


@_check("direction", LOSS, capability="policy_gradient")
def direction(subject: Subject) -> None:
    """Descent makes tokens of positive advantage likelier, and those of negative less likely."""
    batch, policy = _batch(subject, (6, 4))
    slope = _gradient(subject, batch, policy) * batch["advantages"]
    trained = batch["loss_weights"] > 0
    if bool((slope[trained] > 0).any()):
        raise CheckFailed("a token of positive advantage gets less likely; is a sign wrong?")


@_check("no_mutation", BOTH)
def no_mutation(subject: Subject) -> None:
    """The batch stays as it was: it is used again in the next pass."""
    batch, policy = _batch(subject, (5, 3))
    before = {name: value.clone() for name, value in batch.items()}
    _tensors(subject, batch, policy)
    for name in {**batch, **before}:
        if name not in batch or name not in before or not batch[name].equal(before[name]):
            raise CheckFailed(f"it changed batch[{name!r}]; work on a copy")


@_check("metrics_detached", LOSS)
def metrics_detached(subject: Subject) -> None:
    """Metrics are detached; else each keeps a whole graph in memory."""
    batch, policy = _batch(subject, (5, 3))
    for name, value in _tensors(subject, batch, policy).items():
        if name.startswith("metric") and value.requires_grad:
            raise CheckFailed(f"{name} carries a gradient; detach it")


@_check("any_device", BOTH)
def any_device(subject: Subject) -> None:
    """What hooks make lies on the device of the batch."""
    error = _on_meta(subject)
    if error is not None and not _is_about_device(error):
        raise NotApplicable("it reads values on the host, and so runs on no device without values")
    if error is not None:
        raise CheckFailed(
            f"on a batch of another device it raised {subject.told(error, 200)}\n"
            f"  make tensors with device=batch['tokens'].device, or new_zeros() and the like"
        ) from error


@_check("no_host_sync", BOTH, capability="no_host_sync")
def no_host_sync(subject: Subject) -> None:
    """No value is read on the host: no ``item()``, no ``if`` on a tensor, no index by a mask."""
    error = _on_meta(subject)
    if error is not None and _is_about_device(error):
        raise NotApplicable("it does not run on another device, which loss.any_device reports")
    if error is not None:
        raise CheckFailed(
            f"without values it raised {subject.told(error, 200)}\n"
            f"  each reading of a value makes the host wait for the device"
        ) from error


@_check("packing_independent", BOTH)
def packing_independent(subject: Subject) -> None:
    """Samples packed together get the values that each gets alone."""
    import torch

    lengths = (5, 3, 4)
    batch, policy = _batch(subject, lengths)
    packed = _tensors(subject, batch, policy)
    for place in range(len(lengths)):
        start, end = sum(lengths[:place]), sum(lengths[: place + 1])
        alone = _tensors(subject, *_alone(batch, policy, place, start, end))
        for name, value in alone.items():
            if not torch.allclose(value, packed[name][start:end], atol=1e-5):
                raise CheckFailed(
                    f"{name} of sample {place} is {value.tolist()} alone and "
                    f"{packed[name][start:end].tolist()} beside others; packing is chance"
                )


def _alone(
    batch: Mapping[str, Tensor], policy: MadePolicy, place: int, start: int, end: int
) -> tuple[dict[str, Tensor], MadePolicy]:
    count, samples = len(batch["tokens"]), len(batch["lengths"])
    one = {}
    for name, value in batch.items():
        per_token = value.shape[:1] == (count,)
        per_sample = value.shape[:1] == (samples,)
        one[name] = value[start:end] if per_token else value
        if per_sample:
            one[name] = value[place : place + 1]
    one["sample_index"] = one["sample_index"] - place
    return one, MadePolicy(policy.logprobs[start:end], policy.entropy[start:end])


def _batch(
    subject: Subject, lengths: Sequence[int], *, double: bool = False
) -> tuple[dict[str, Tensor], MadePolicy]:
    batch, policy = make_batch(lengths, double=double)
    extend = subject.conformance.batch
    return (dict(extend(batch)) if extend else batch), policy


def _hard_cases(
    subject: Subject,
) -> Iterator[tuple[str, dict[str, Tensor], MadePolicy]]:
    """Batches that a run meets now and then, each with what is hard about it."""
    for far in (0.0, 30.0, -30.0, 200.0, -200.0):
        batch, policy = _batch(subject, (5, 3))
        batch["old_logprobs"] = batch["old_logprobs"] - far * batch["loss_mask"]
        yield f"the log-ratio is near {far}", batch, policy
    batch, policy = _batch(subject, (5, 2))
    yield "a sample has no trained token", batch, policy
    batch, policy = _batch(subject, (2, 1))
    yield "no token of the micro-batch is trained", batch, policy
    batch, policy = _batch(subject, (5, 3))
    batch["loss_weights"] = batch["loss_weights"] * 0
    yield "all weights are 0, as in copies that fill up a rank", batch, policy


def _on_meta(subject: Subject) -> Exception | None:
    """What the hooks raise on torch's device that has shapes and no values."""
    batch, policy = _batch(subject, (5, 3))
    _tensors(subject, batch, policy)
    far = {name: value.to("meta") for name, value in batch.items()}
    logprobs, entropy = (
        one.detach().to("meta").requires_grad_() for one in (policy.logprobs, policy.entropy)
    )
    try:
        _answers(subject, far, MadePolicy(logprobs, entropy))
    except Exception as error:
        return error
    return None


def _is_about_device(error: Exception) -> bool:
    # Operators whose shapes depend on values say so with NotImplementedError.
    return not isinstance(error, NotImplementedError) and "device" in str(error)


def _tensors(
    subject: Subject, batch: dict[str, Tensor], policy: MadePolicy, *, strict: bool = False
) -> dict[str, Any]:
    """Every per-token value that the plugin's trainer hooks give."""
    try:
        found = _answers(subject, batch, policy)
    except Exception as error:
        if strict:
            raise
        raise NotApplicable("it raises, which loss.shape reports") from error
    if not strict and not all(_is_per_token(one, batch) for one in found.values()):
        raise NotApplicable("a value has a wrong shape, which loss.shape reports")
    return found


def _answers(subject: Subject, batch: dict[str, Tensor], policy: MadePolicy) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "slime_token_advantage" in subject.hooks:
        name = "slime_token_advantage"
        found["the advantages"] = subject.call(name, batch, subject.context())
    if "slime_loss" in subject.hooks:
        loss = subject.call("slime_loss", batch, policy, subject.context())
        if not isinstance(loss, Loss):
            raise CheckFailed(f"it returned {type(loss).__name__}; return a Loss")
        found["per_token"] = loss.per_token
        found |= {f"metric {name!r}": value for name, value in loss.metrics.items()}
    return found


def _is_per_token(value: Any, batch: Mapping[str, Tensor]) -> bool:
    return bool(getattr(value, "shape", None) == batch["tokens"].shape)


def _total(subject: Subject, batch: dict[str, Tensor], policy: MadePolicy) -> Tensor:
    try:
        loss = subject.call("slime_loss", batch, policy, subject.context())
        if _is_per_token(loss.per_token, batch):
            total: Tensor = (loss.per_token * batch["loss_weights"]).sum()
            return total
    except Exception as error:
        raise NotApplicable("it raises, which loss.shape reports") from error
    raise NotApplicable("a value has a wrong shape, which loss.shape reports")


def _gradient(subject: Subject, batch: dict[str, Tensor], policy: MadePolicy) -> Tensor:
    import torch

    total = _total(subject, batch, policy)
    if not total.requires_grad:
        return torch.zeros_like(policy.logprobs)
    (found,) = torch.autograd.grad(total, [policy.logprobs], allow_unused=True)
    return torch.zeros_like(policy.logprobs) if found is None else found
