"""The CPU stand-ins are in place without CUDA, and leave everything alone with it."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import torch
from slime_core.trainer.cpu import install
zeros = torch.zeros
assert install() and install()
from megatron.core import optimizer
from megatron.core.transformer.moe import moe_utils
assert optimizer.torch is not torch
assert optimizer.torch.cuda.current_device() == torch.device("cpu")
assert optimizer.torch.zeros(2, device="cuda").device.type == "cpu"
assert torch.zeros is zeros and torch.ones(1).type() == "torch.FloatTensor"
assert moe_utils.te_general_gemm is None
"""

WITH = """
import torch
torch.cuda.is_available = lambda: True
from slime_core.trainer.cpu import install
type_, cuda = torch.Tensor.type, torch.Tensor.cuda
assert install() is False
from megatron.core import optimizer
from megatron.core.transformer.moe import moe_utils
assert optimizer.torch is torch
assert torch.Tensor.type is type_ and torch.Tensor.cuda is cuda
assert moe_utils.te_general_gemm is None
"""


def test_without_cuda_only_megatron_sees_the_stand_ins() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", WITHOUT], check=True)


def test_with_cuda_nothing_is_replaced_but_faults_are_mended() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", WITH], check=True)
