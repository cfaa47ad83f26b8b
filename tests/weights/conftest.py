"""A real SGLang server on the CPU, and what tests ask it and its models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from slime_core.engine import control
from slime_core.engine.address import ServingAddress
from slime_core.engine.control import Call
from slime_core.engine.process import ServerProcess

PROMPT = list(range(20, 44))
Tensors = list[tuple[str, Tensor]]


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """``start_server(model, tp=1) -> url``; all are stopped after the module."""
    running: list[ServerProcess] = []

    def start(model: Path, tp: int = 1) -> str:
        log = tmp_path_factory.mktemp("server") / "server.log"
        server = ServerProcess(model, log_path=log, tp=tp)
        running.append(server)
        server.start()
        server.wait_ready(200)
        return server.url

    yield start
    for server in running:
        server.stop()


def address(*urls: str) -> ServingAddress:
    """Servers without a router, which weights do not need."""
    return ServingAddress("http://127.0.0.1:9", urls)


@pytest.fixture(scope="session")
def serving() -> Callable[..., ServingAddress]:
    """``serving(*urls)`` is the address of these servers."""
    return address


@pytest.fixture(scope="session")
def generate() -> Callable[..., Any]:
    """``generate(url, tokens=8)`` answers greedily with log-probs of prompt and answer."""

    def ask(url: str, tokens: int = 8, **fields: Any) -> Any:
        sampling = {"temperature": 0, "max_new_tokens": tokens, "ignore_eos": True}
        body = {"input_ids": PROMPT, "sampling_params": sampling, "return_logprob": True}
        return control.send(url, Call("/generate", body | {"logprob_start_len": 0} | fields))

    return ask


@pytest.fixture(scope="session")
def perturbed() -> Callable[[Path, int], Tensors]:
    """``perturbed(model, seed)``: the folder's tensors with noise, in the order of export."""
    from slime_core.weights import hf, maps
    from slime_core.weights.reader import TensorReader

    def make(model: Path, seed: int) -> Tensors:
        noise = torch.Generator().manual_seed(seed)
        names = maps.weight_map(hf.read_config(model)).hf_names()
        with TensorReader(model) as reader:
            tensors = [(name, reader.read(name)) for name in names]
        return [(n, t + 0.05 * torch.randn(t.shape, generator=noise)) for n, t in tensors]

    return make


@pytest.fixture(scope="session")
def distance(generate: Callable[..., Any]) -> Callable[..., float]:
    """``distance(url, tensors, model, out)``: largest difference of log-probs between a server and
    transformers on an exported folder with these tensors."""
    from transformers import AutoModelForCausalLM

    from slime_core.weights import hf

    def measure(url: str, tensors: Tensors, model: Path, out: Path) -> float:
        hf.save_hf(out, tensors, model)
        reference = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
        answer = generate(url)
        tokens = PROMPT + answer["output_ids"]
        with torch.no_grad():
            logits = reference(torch.tensor([tokens])).logits[0]
        want = torch.log_softmax(logits, -1)[:-1].gather(1, torch.tensor(tokens[1:])[:, None])
        info = answer["meta_info"]
        got = [x[0] for x in info["input_token_logprobs"][1:] + info["output_token_logprobs"]]
        return float((want.flatten() - torch.tensor(got)).abs().max())

    return measure
