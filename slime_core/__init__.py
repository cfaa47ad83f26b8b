"""slime: RL post-training of language models: a plugin host over SGLang, Megatron-core, Ray."""

__version__ = "0.1.0"
