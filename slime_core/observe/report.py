"""``report.html``: one self-contained page about a run. No script, no network, light and dark."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from statistics import fmean
from typing import Any

from slime_core.observe.charts import figures, legend
from slime_core.observe.metrics import Row, names, read_metrics, series
from slime_core.observe.names import LOSS, REWARD, is_scored
from slime_core.observe.progress import duration
from slime_core.observe.rundir import RunDir
from slime_core.observe.summary import summarise
from slime_core.observe.svg import COLOURS, number
from slime_core.observe.transcripts import Transcript, transcripts


def write_report(run_dir: Path | RunDir) -> Path:
    """Write the page of a run, finished or not, from the files in its directory.

    Raises:
        ConfigError: this is not a run directory.
    """
    run = run_dir if isinstance(run_dir, RunDir) else RunDir.open(run_dir)
    rows = read_metrics(run.metrics_file)
    summary = run.read_summary() or _unfinished(rows)
    body = "\n".join(_body(run, rows, summary))
    partial = run.report_file.with_suffix(".tmp")
    partial.write_text(_page(run.path.name, body), "utf-8")
    return partial.replace(run.report_file)


def _unfinished(rows: Sequence[Row]) -> dict[str, Any]:
    wall_s = rows[-1]["time"] - rows[0]["time"] if rows else 0.0
    return {**summarise(rows, status="interrupted", wall_s=wall_s), "status": "unfinished"}


def _page(title: str, body: str) -> str:
    css = files(__package__).joinpath("report.css").read_text("utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escape(title)} · slime</title><style>{css}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _body(run: RunDir, rows: Sequence[Row], summary: Mapping[str, Any]) -> Iterator[str]:
    config, plan = run.read_config(), run.read_plan()
    yield _header(run, config, plan, summary)
    yield _tiles(rows, summary)
    yield _time_split(summary)
    yield _charts(rows)
    yield _samples(transcripts(run.rollouts))
    yield _all_metrics(rows)
    yield _settings(config, plan)


def _header(
    run: RunDir, config: Mapping[str, Any], plan: Mapping[str, Any], summary: Mapping[str, Any]
) -> str:
    status, steps = str(summary.get("status", "unfinished")), summary.get("steps_done", 0)
    facts = [
        f'<span class="status {escape(status)}">{escape(status)}</span>',
        f"{steps} of {config.get('steps', '?')} step{'s' * (config.get('steps') != 1)}",
        escape(f"model {Path(str(config.get('model'))).name}"),
        escape(" · ".join(_plugins(plan))),
    ]
    error = summary.get("error")
    failure = f'<div class="failure">{escape(str(error))}</div>' if error else ""
    return (
        f"<header><h1>{escape(run.path.name)}</h1>"
        f"<p>{' · '.join(filter(None, facts))}</p></header>{failure}"
    )


def _plugins(plan: Mapping[str, Any]) -> list[str]:
    """Plugins with their versions, e.g. ``math_dapo 0.1.0``."""
    listed = plan.get("plugins") or []
    entries = (
        [{"entry": name, **found} for name, found in listed.items() if isinstance(found, dict)]
        if isinstance(listed, dict)
        else [found for found in listed if isinstance(found, dict)]
    )
    return [
        f"{p.get('entry') or p.get('name') or '?'} {p.get('version', '')}".strip() for p in entries
    ]


def _tiles(rows: Sequence[Row], summary: Mapping[str, Any]) -> str:
    tiles = [_change(*found) for found in _held_out(summary)]
    if is_scored(names(rows)):
        tiles += _first_and_last("reward", [value for _, value in series(rows, REWARD)])
    else:
        tiles += _first_and_last("loss", [value for _, value in series(rows, LOSS)])
    tiles.append(_tile("wall time", duration(float(summary.get("wall_s") or 0.0))))
    return f'<section class="tiles">{"".join(tiles)}</section>'


def _held_out(summary: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Accuracy, else mean reward, of each held-out set before and after."""
    before, after = summary.get("eval_before") or {}, summary.get("eval_after") or {}
    both = [name for name in after if name in before]
    accuracy = [name for name in both if name.endswith("/accuracy")]
    for name in (accuracy or both)[:4]:
        label = name.removeprefix("eval/").replace("/", ", ").replace("_", " ")
        yield label, before[name], after[name]


def _first_and_last(name: str, values: Sequence[float]) -> list[str]:
    label = f"{name}, first step and last ten"
    return [_change(label, values[0], fmean(values[-10:]))] if values else []


def _change(name: str, before: float, after: float) -> str:
    show = "{:.1%}".format if name.endswith("accuracy") else number
    return _tile(name, f"<small>{show(before)} →</small> {show(after)}")


def _tile(name: str, value: str) -> str:
    return (
        f'<div class="tile"><div class="name">{escape(name)}</div>'
        f'<div class="value">{value}</div></div>'
    )


def _time_split(summary: Mapping[str, Any]) -> str:
    times = {name: s for name, s in (summary.get("times_s") or {}).items() if s > 0}
    if not times:
        return ""
    whole = sum(times.values())
    bars = "".join(
        f'<span style="flex:{seconds / whole:.4f};background:var(--c{i % COLOURS})" '
        f'title="{escape(name)}: {duration(seconds)}"></span>'
        for i, (name, seconds) in enumerate(times.items())
    )
    labels = [f"{name} {duration(s)} ({s / whole:.0%})" for name, s in times.items()]
    return f'<h2>Where the time went</h2><div class="split">{bars}</div>{legend(labels)}'


def _charts(rows: Sequence[Row]) -> str:
    drawn = list(figures(rows))
    if not drawn:
        return "<h2>Curves</h2><p>The run ended before its first step had metrics.</p>"
    return f'<h2>Curves</h2><section class="charts">{"".join(drawn)}</section>'


def _samples(found: Sequence[Transcript]) -> str:
    if not found:
        return ""
    head = _cells("th", ["step", "prompt", "response", "label", "reward", "end"])
    lines = "".join(
        f"<tr><td>{t.step + 1}</td><td><pre>{escape(t.prompt)}</pre></td>"
        f"<td><pre>{escape(t.response)}</pre></td><td><pre>{escape(t.label)}</pre></td>"
        f"<td>{'–' if t.reward is None else number(t.reward)}</td><td>{escape(t.stop)}</td></tr>"
        for t in found
    )
    return (
        "<h2>Samples of the first and last step</h2>"
        f'<div class="scroll"><table><tr>{head}</tr>{lines}</table></div>'
    )


def _all_metrics(rows: Sequence[Row]) -> str:
    lines = []
    for name in names(rows):
        values = [value for _, value in series(rows, name)]
        if values:
            cells = [number(v) for v in (values[0], values[-1], min(values), max(values))]
            lines.append(f"<tr><td>{escape(name)}</td>{_cells('td', cells)}</tr>")
    if not lines:
        return ""
    head = "<th>metric</th>" + _cells("th", ["first", "last", "lowest", "highest"])
    return (
        "<h2>Everything</h2><details><summary>All metrics</summary>"
        f'<div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div></details>'
    )


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{text}</{tag}>" for text in texts)


def _settings(config: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    parts = (("Configuration", config), ("Plan", plan))
    return "".join(
        f"<details><summary>{title}</summary><pre>{escape(json.dumps(value, indent=2))}</pre>"
        "</details>"
        for title, value in parts
    )
