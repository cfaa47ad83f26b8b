"""slime: RL post-training of language models, as a plugin host over SGLang, Megatron-core and Ray."""

__version__ = "0.1.0"
