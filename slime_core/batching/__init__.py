"""Scored samples become each data-parallel rank's micro-batches, with exact loss weights."""

from slime_core.batching.build import build_shards
from slime_core.batching.shards import SAMPLE_COLUMNS, TOKEN_COLUMNS, MicroBatch, Shard

__all__ = ["SAMPLE_COLUMNS", "TOKEN_COLUMNS", "MicroBatch", "Shard", "build_shards"]
