"""Options of SGLang and of the router that a run sets itself, each with what to use instead."""

from __future__ import annotations

from typing import Final

_MODEL: Final = "use --model"
_HERE: Final = "servers and router listen on free loopback ports"
_TP: Final = "use --engine-tp"
_PLACEMENT: Final = "Ray places the servers; use --engine-servers and --engine-tp"
_KEYS: Final = "the run's own requests carry no key, and everything listens on loopback only"
_HTTP: Final = "the run speaks plain HTTP with its servers"
_DISAGGREGATED: Final = "disaggregated serving is not supported"
_WORKERS: Final = "the run's own servers are behind the router"

SGLANG_OWNED: Final = {
    "model_path": _MODEL,
    "model": _MODEL,
    "tokenizer_path": "the tokenizer is the one in the folder of --model",
    "host": _HERE,
    "port": _HERE,
    "nccl_port": _HERE,
    "dist_init_addr": _PLACEMENT,
    "nccl_init_addr": _PLACEMENT,
    "tp": _TP,
    "tp_size": _TP,
    "tensor_parallel_size": _TP,
    "device": "it follows from the machine",
    "base_gpu_id": _PLACEMENT,
    "gpu_id_step": _PLACEMENT,
    "nnodes": _PLACEMENT,
    "node_rank": _PLACEMENT,
    "use_ray": _PLACEMENT,
    "weight_version": "the run counts the weights that it sends",
    "config": "write the options into [sglang] of the run's own TOML file",
    "api_key": _KEYS,
    "admin_api_key": _KEYS,
    "ssl_keyfile": _HTTP,
    "ssl_certfile": _HTTP,
    "ssl_ca_certs": _HTTP,
    "grpc_mode": _HTTP,
    "smg_grpc_mode": _HTTP,
    "encoder_only": _DISAGGREGATED,
    "language_only": _DISAGGREGATED,
    "disaggregation_mode": _DISAGGREGATED,
}

ROUTER_OWNED: Final = {
    "host": _HERE,
    "port": _HERE,
    "worker_urls": _WORKERS,
    "service_discovery": _WORKERS,
    "pd_disaggregation": _DISAGGREGATED,
    "prefill": _DISAGGREGATED,
    "decode": _DISAGGREGATED,
    "mini_lb": "the run needs the router's list of workers",
    "backend": "the servers are SGLang's",
    "api_key": _KEYS,
    "tls_cert_path": _HTTP,
    "tls_key_path": _HTTP,
}
