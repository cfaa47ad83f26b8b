"""A chat template with tools, for the gateway's tests and its benchmark."""

from __future__ import annotations

TEMPLATE = """
{%- if tools %}{{ '<|system|>Tools: ' + (tools | tojson) + '<|end|>\\n' }}{% endif %}
{%- for m in messages %}
{{- '<|' + m['role'] + '|>' + m['content'] }}
{%- for call in m.get('tool_calls') or [] %}
{{- '<tool_call>\\n' + (call['function'] | tojson) + '\\n</tool_call>' }}
{%- endfor %}
{{- '<|end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}
"""
