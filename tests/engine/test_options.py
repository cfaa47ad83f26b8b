"""Pass-through options are checked by the installed releases' own parsers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from slime_hookspecs import ConfigError

from slime_core.engine.options import check_router, check_sglang


def test_options_become_the_servers_own_command_line() -> None:
    assert check_sglang(
        {
            "mem-fraction-static": 0.5,
            "stream_interval": "4",
            "--log-level": "warning",
            "disable-radix-cache": True,
            "enable-metrics": "true",
            "skip_server_warmup": False,
            "cuda-graph-bs-decode": [1, 2],
            "json-model-override-args": {"rope_theta": 2.0},
            "random-seed": -1,
        }
    ) == [
        "--mem-fraction-static=0.5",
        "--stream-interval=4",
        "--log-level=warning",
        "--disable-radix-cache",
        "--enable-metrics",
        "--cuda-graph-bs-decode",
        "1",
        "2",
        '--json-model-override-args={"rope_theta": 2.0}',
        "--random-seed=-1",
    ]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            {"mem_fracton_static": 0.5},
            r"--sglang-mem-fracton-static is no option of sglang [\d.post]+; "
            r"did you mean --sglang-mem-fraction-static\?",
        ),
        ({"completely_off": 1}, r"--sglang-completely-off is no option of sglang [\d.post]+$"),
        ({"stream-interval": "x"}, "--sglang-stream-interval: invalid int value: 'x'"),
        ({"dtype": "float3"}, "--sglang-dtype: invalid choice: 'float3'.*bfloat16"),
        ({"disable_radix_cache": "maybe"}, "is true or false, found 'maybe'"),
        ({"stream_interval": True}, "--sglang-stream-interval needs a value, found True"),
        ({"tp-size": 2}, "--sglang-tp-size is set by the run itself: use --engine-tp"),
        ({"tp": 2}, "use --engine-tp"),
        ({"model_path": "x"}, "use --model"),
        ({"weight-version": 1}, "the run counts the weights"),
        ({"host": "0.0.0.0"}, "loopback"),
    ],
)
def test_a_wrong_server_option_is_refused_with_what_is_right(
    raw: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_sglang({"log-level": "info", **raw})


def test_router_options_are_checked_likewise() -> None:
    assert check_router({"policy": "cache_aware", "queue_size": 5, "disable-retries": True}) == [
        "--policy=cache_aware",
        "--queue-size=5",
        "--disable-retries",
    ]
    for raw, message in (
        ({"polcy": "x"}, "did you mean --router-policy?"),
        ({"policy": "x"}, "--router-policy: invalid choice: 'x'"),
        ({"worker-urls": "x"}, "--router-worker-urls is set by the run itself"),
    ):
        with pytest.raises(ConfigError) as caught:
            check_router(raw)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("check", "spared"),
    [("check_sglang({})", "torch"), ("check_router({'policy': 'random'})", "torch")],
)
def test_checking_imports_no_more_than_it_must(check: str, spared: str) -> None:
    code = (
        f"import sys; from slime_core.engine.options import *; {check}; "
        f"sys.exit({spared!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
