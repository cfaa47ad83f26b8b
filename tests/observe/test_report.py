"""The report is one page that needs nothing else, for good runs, bad runs and runs in progress."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from slime_hookspecs.errors import ConfigError

from slime_core.observe.charts import CHARTS
from slime_core.observe.metrics import MetricsWriter, read_metrics
from slime_core.observe.report import write_report
from slime_core.observe.rundir import RunDir
from slime_core.observe.summary import summarise
from slime_core.rollout import files


def page(run: RunDir) -> ElementTree.Element:
    """The written page; parsing it proves that every tag is closed and every text escaped."""
    text = write_report(run.path).read_text("utf-8")
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def text_of(element: ElementTree.Element) -> str:
    """All text in one line."""
    return re.sub(r"\s+", " ", " ".join(element.itertext()))


def headings(root: ElementTree.Element) -> list[str]:
    """Titles of the charts."""
    return [h.text or "" for h in root.iter("h3")]


def save_rollout(run: RunDir, step: int, *rows: dict[str, object]) -> None:
    """A saved rollout, one sample a line."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (run.rollouts / f"step_{step:06d}.jsonl").write_text(lines)


def sample(question: str, response: str, reward: float | None = 1.0) -> dict[str, object]:
    """One row of a saved rollout."""
    prompt = {"id": question, "messages": [{"role": "user", "content": question}], "label": "42"}
    return {"prompt": prompt, "response": response, "reward": reward, "stop": "stop"}


def test_a_finished_run_has_every_chart(finished: RunDir) -> None:
    root = page(finished)
    charts = [c.title for c in CHARTS if c.title != "Held-out reward"]
    assert headings(root) == [*charts, "How long requests take"]
    assert len(list(root.iter("{http://www.w3.org/2000/svg}svg"))) == len(CHARTS)


def test_the_histogram_adds_up_the_requests_of_all_steps(finished: RunDir) -> None:
    (figure,) = [f for f in page(finished).iter("figure") if "How long" in text_of(f)]
    titles = [t.text for t in figure.iter() if t.tag.endswith("title")]
    assert titles == [
        "at most 1 s: 1,800",
        "more than 1, at most 1.5 s: 0",
        "more than 1.5, at most 2 s: 0",
        "more than 2, at most 3 s: 0",
        "more than 3, at most 5 s: 120",
    ]
    heights = [float(r.attrib["height"]) for r in figure.iter() if r.tag.endswith("rect")]
    assert heights[0] / heights[4] == pytest.approx(15, rel=0.02)
    assert heights[1:4] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("bound", ["0.001", "0.3", "7000", "inf"])
def test_a_histogram_of_one_bucket(run: RunDir, bound: str) -> None:
    with MetricsWriter(run.metrics_file) as writer:
        writer.append(0, {f"latency/requests/{bound}": 3.0})
    root = page(run)
    assert headings(root) == ["How long requests take"]
    titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == [f"at most {'∞' if bound == 'inf' else bound} s: 3"]


def test_the_header_says_what_ran_and_what_came_of_it(finished: RunDir) -> None:
    rows = read_metrics(finished.metrics_file)
    finished.write_summary(summarise(rows, status="success", wall_s=130.0, times_s={"start": 20.0}))
    text = text_of(page(finished))
    assert "success · 30 of 30 steps · model tiny-qwen · math_dapo 0.1.0 · grpo 0.3.1" in text
    assert "heldout sampled, accuracy 30.0% → 80.0%" in text
    assert "wall time 2m 10s" in text
    assert "start 20s (15%) rollout 1m 00s (46%)" in text
    assert '"prompts_per_step": 32' in text


def test_the_page_needs_no_script_and_no_network(finished: RunDir) -> None:
    text = write_report(finished.path).read_text("utf-8")
    links = set(re.findall(r"(?:https?:)?//[\w./]+", text))
    assert links == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<script|<link|<img|@import|url\(|\bon\w+=", text)


def test_it_has_colours_for_light_and_dark(finished: RunDir) -> None:
    text = write_report(finished.path).read_text("utf-8")
    light, dark = text.split("prefers-color-scheme: dark")
    used = set(re.findall(r"var\((--\w+)\)", text))
    for name in used:
        assert f"{name}:" in light
        assert f"{name}:" in dark


def test_a_run_that_failed_at_once_says_why(run: RunDir) -> None:
    error = "EngineError: server 0 died\n<see logs/server_0.log>"
    run.write_summary(summarise([], status="error", wall_s=4.0, error=error))
    root = page(run)
    assert "server 0 died <see logs/server_0.log>" in text_of(root)
    assert "ended before its first step" in text_of(root)
    assert headings(root) == []


def test_a_run_in_progress_has_a_report_without_a_summary(finished: RunDir) -> None:
    assert "unfinished · 30 of 30 steps" in text_of(page(finished))


def test_a_run_with_one_step_and_few_metrics(run: RunDir) -> None:
    with MetricsWriter(run.metrics_file) as writer:
        writer.append(0, {"train/loss": 2.5, "train/grad_norm": float("nan"), "reward/mean": 0.0})
    root = page(run)
    assert headings(root) == ["Loss"]
    assert "loss, first step and last ten 2.5 → 2.5" in text_of(root)


def test_lines_that_would_lie_under_another_are_left_out(run: RunDir) -> None:
    with MetricsWriter(run.metrics_file) as writer:
        for step in range(3):
            value = {"reward/mean": step / 3, "reward/math_dapo": step / 3, "reward/other": 1.0}
            writer.append(step, value)
    (figure,) = page(run).iter("figure")
    assert [span.find("i").tail for span in figure.iter("span")] == ["mean", "other"]  # type: ignore[union-attr]


def test_steps_are_counted_as_done_so_that_the_first_measurement_is_at_zero(
    finished: RunDir,
) -> None:
    figures = {f.find(".//h3").text: f for f in page(finished).iter("figure")}  # type: ignore[union-attr]
    titles = [t.text or "" for t in figures["Held-out accuracy"].iter() if t.tag.endswith("title")]
    assert titles[0].startswith("step 0: heldout_greedy/accuracy 0.1")
    assert titles[-1].startswith("step 30: heldout_greedy/accuracy 0.9")


def test_samples_of_first_and_last_step_are_shown_escaped(finished: RunDir) -> None:
    save_rollout(finished, 0, sample("37+5=", "Answer: <41> & <script>alert(1)</script>", 0.0))
    save_rollout(finished, 7, sample("skipped", "skipped"))
    save_rollout(finished, 29, sample("37+5=", "Answer: 42"), sample("1+1=", "?", None))
    (finished.rollouts / "step_000030.tmp").write_text("{")
    cells = [[text_of(td).strip() for td in tr.iter("td")] for tr in page(finished).iter("tr")]
    assert ["1", "37+5=", "Answer: <41> & <script>alert(1)</script>", "42", "0", "stop"] in cells
    assert ["30", "37+5=", "Answer: 42", "42", "1", "stop"] in cells
    assert ["30", "1+1=", "?", "42", "–", "stop"] in cells
    assert not any("skipped" in row for row in cells)


def test_compressed_rollouts_are_shown_and_failed_groups_are_not(finished: RunDir) -> None:
    for step, kept in ((0, "first"), (29, "last")):
        with files.writing(files.path_of(finished.rollouts, step)) as file:
            for text, fate in ((kept, "trained"), ("lost", "failed/judge")):
                file.write(json.dumps(sample(text, text) | {"fate": fate}).encode() + b"\n")
    cells = [text_of(tr).split() for tr in page(finished).iter("tr") if len(list(tr.iter("pre")))]
    assert [cell[1] for cell in cells] == ["first", "last"]


def test_one_sample_a_prompt_and_a_few_a_step(finished: RunDir) -> None:
    save_rollout(finished, 0, *(sample(f"{i}", "x") for i in range(9) for _ in range(8)))
    rows = [tr for tr in page(finished).iter("tr") if len(list(tr.iter("pre"))) == 3]
    assert [text_of(tr).split()[1] for tr in rows] == ["0", "1", "2", "3"]


def test_long_texts_are_cut(finished: RunDir) -> None:
    save_rollout(finished, 0, sample("q", "word " * 10_000))
    assert len(write_report(finished.path).read_text("utf-8")) < 150_000


@pytest.mark.parametrize("content", ["", "{", "[1]\n7\n", '{"prompt": 3}\n', "\x00\xff"])
def test_a_damaged_rollout_does_not_cost_the_report(finished: RunDir, content: str) -> None:
    (finished.rollouts / "step_000000.jsonl").write_text(content)
    assert headings(page(finished))


def test_a_folder_that_is_no_run_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a run directory"):
        write_report(tmp_path)


def test_writing_again_replaces_the_page(finished: RunDir) -> None:
    first = write_report(finished.path)
    assert write_report(finished) == first == finished.report_file
    assert [p.name for p in finished.path.glob("report*")] == ["report.html"]
