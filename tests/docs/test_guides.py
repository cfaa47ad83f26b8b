"""Every code block of the guides and READMEs is run, page by page, in a folder of its own.

A page's blocks run in order. Python whose first line is ``# file: PATH`` is written there, other
Python runs in the page's namespace; TOML is a file or is taken as settings of a run; shell runs
where the block before it left off, in an environment where the page may install packages. Commands
that would train get ``--dry-run``; what cannot run at all is in ``NOT_RUN`` with its reason.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from slime_hookspecs import HOOKS

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "hookspecs" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
ids = [str(page.relative_to(ROOT)) for page in PAGES]

#: Lines of shell that are not run, and why.
NOT_RUN = {
    "make demo": "takes minutes; tests/demo runs it",
    "make test": "is this test run itself",
    "make test-fast": "is a part of this test run",
    "make setup": "made the environment that this test runs in",
    "make check": "is the other half of continuous integration",
    "make format": "would change the sources that are being tested",
}


def saved_runs() -> dict[str, str]:
    """Two runs that made two steps of a few samples."""

    def row(index: int, text: str, reward: float | None, **more: object) -> str:
        group = index // 2
        prompt = {"id": f"p{group % 2}", "label": "2", "metadata": {}, "tools": None}
        prompt["messages"] = [{"role": "user", "content": ("1+1=", "2+2=")[group % 2]}]
        tokens = list(text.encode())
        sampled = {"kind": "sampled", "tokens": tokens, "logprobs": [-0.5] * len(tokens)}
        trace = [{"kind": "prompt", "tokens": [9], "logprobs": [], "weight_version": -1}]
        facts = {"index": index, "group_index": group, "response": text, "reward": reward}
        facts |= {
            "stop": "stop",
            "prompt": prompt,
            "trace": [*trace, sampled | {"weight_version": 1}],
        }
        return json.dumps({"step": group // 2, "weight_version": 1, **facts, **more}) + "\n"

    error = {"plugin": "math_dapo", "hook": "slime_reward", "type": "TimeoutError", "message": ""}
    first = row(0, "1+1=", 0.0, stop="length") + row(1, "2", 1.0) + row(2, "4", 0.0)
    steps = [first + row(3, "", None, error=error), row(4, "two", 0.0) + row(5, "it is 2", 1.0)]
    return {
        f"runs/{name}/{file}": text
        for name in ("first", "second")
        for file, text in (
            ("config.json", "{}"),
            ("rollouts/step_000000.jsonl", steps[0]),
            ("rollouts/step_000001.jsonl", steps[1]),
        )
    }


#: Files that a page takes for granted.
PROBLEMS = '{"prompt": "1+1=", "label": "2"}\n'
GIVEN: dict[str, dict[str, str]] = {
    "README.md": {"problems.jsonl": PROBLEMS},
    "docs/debugging.md": {"problems.jsonl": PROBLEMS, **saved_runs()},
}

MODEL = "path/to/hf-model"

#: What ``from __future__ import annotations`` tells the compiler.
POSTPONED = annotations.compiler_flag

#: Scripts of the environment that a page's shell runs in.
COMMANDS = {
    "pip": "pip",
    "pytest": "pytest",
    "slime": "slime_core.cli",
    "slime-conformance": "slime_hookspecs.testing",
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """Where its first line says that it goes."""
        found = re.match(r"# file: (\S+)\n", self.text)
        return found[1] if found else None


def blocks(page: Path) -> list[Block]:
    """A page's blocks in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    return [Block(language, text) for language, text in found]


def runnable(script: str, model: Path) -> tuple[str, list[str]]:
    """A script as the test runs it, and what it does not run, each with the reason."""
    lines, left_out = [], []
    for line in script.splitlines():
        command = line.partition("#")[0].strip()
        if command in NOT_RUN:
            left_out.append(f"{command}: {NOT_RUN[command]}")
            continue
        if command.startswith("slime --") and not {"--dry-run", "--help"} & set(command.split()):
            left_out.append(f"{command}: would train; run with --dry-run")
            line = f"{line} --dry-run"
        lines.append(line.replace(MODEL, str(model)))
    return "\n".join(lines), left_out


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of scripts of a virtual environment that has what this one has, and more to come."""
    folder = tmp_path_factory.mktemp("environment")  # A reader's own: pages install the same names.
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    here = next(p for p in sys.path if p.endswith("site-packages"))
    (site / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    for name, module in COMMANDS.items():
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} -m {module} "$@"\n')
        script.chmod(0o755)
    return folder / "bin"


@dataclass
class Reader:
    """Someone who follows a page to the letter."""

    folder: Path
    environment: Path
    model: Path
    flags: int = 0
    module: types.ModuleType = field(default_factory=lambda: types.ModuleType("page"))
    left_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = self.folder

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        {"python": self.python, "sh": self.sh, "toml": self.toml, "json": self.json}[
            block.language
        ](block)

    def python(self, block: Block) -> None:
        """Write it, or run it in the page's namespace."""
        if self.written(block):
            return
        before = Path.cwd()
        os.chdir(self.at)
        try:
            code = compile(block.text, "page", "exec", self.flags, dont_inherit=True)
            exec(code, vars(self.module))
        finally:
            os.chdir(before)

    def sh(self, block: Block) -> None:
        """Run it, but for what would train or is not run at all."""
        script, left_out = runnable(block.text, self.model)
        self.left_out += left_out
        self.shell(script)

    def shell(self, script: str) -> None:
        """Run a script in the page's environment, from where the last one left off."""
        place = self.folder / ".place"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{script}\npwd > {shlex.quote(str(place))}"],
            cwd=self.at,
            env={
                **os.environ,
                "PATH": os.pathsep.join(
                    [str(self.environment), str(Path(sys.executable).parent), os.environ["PATH"]]
                ),
                "PIP_NO_INDEX": "1",
                "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as: no isolation
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PYTEST_ADDOPTS": "-p no:asyncio -p no:cacheprovider",
            },
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        self.at = Path(place.read_text().strip())

    def toml(self, block: Block) -> None:
        """Write it; settings of a run are checked as well."""
        tree = tomllib.loads(block.text)
        if not self.written(block):
            (self.at / ("pyproject.toml" if "project" in tree else "run.toml")).write_text(
                block.text.replace(MODEL, str(self.model))
            )
        if "plugins" in tree and not block.file:
            self.sh(Block("sh", "slime --config run.toml --dry-run"))

    def json(self, block: Block) -> None:
        """Read it."""
        json.loads(block.text)

    def written(self, block: Block) -> bool:
        """Whether it is a file, which then is there."""
        if block.file is None:
            return False
        path = self.at / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text.partition("\n")[2].replace(MODEL, str(self.model)), "utf-8")
        return True


@pytest.fixture
def reader(
    tmp_path: Path, environment: Path, tiny_model: Callable[[str], Path]
) -> Iterator[Reader]:
    """Someone with an empty folder, and a model."""
    found = Reader(tmp_path, environment, tiny_model("qwen3"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "page", found.module)  # where dataclasses look names up
        yield found
    print(*found.left_out, sep="\n")


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_a_page_works_when_it_is_followed_to_the_letter(page: Path, reader: Reader) -> None:
    for name, text in GIVEN.get(str(page.relative_to(ROOT)), {}).items():
        (reader.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (reader.folder / name).write_text(text)
    if page.name == "hooks.md":  # Signatures name types that the page does not import.
        reader.flags = POSTPONED
    for block in blocks(page):
        if block.language not in ("", "text"):
            reader.follow(block)


@pytest.mark.engines
def test_the_first_plugin_really_trains(reader: Reader) -> None:
    for block in blocks(ROOT / "docs" / "first-plugin.md")[:4]:
        reader.follow(block)
    reader.shell(
        f"slime --plugin backwards --model {reader.model} --steps 1 --run-dir {reader.folder}/run "
        "--rollout-prompts-per-step 2 --rollout-samples-per-prompt 2 --eval-every 0 "
        "--rollout-max-response-tokens 8 --megatron-lr 1e-3"
    )
    rows = (reader.folder / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["prompts/trained"] == 2


def test_every_page_of_the_guides_has_blocks() -> None:
    counts = {page.name: len(blocks(page)) for page in PAGES}
    assert all(
        counts[name] >= least
        for name, least in {
            "first-plugin.md": 9,
            "testing-a-plugin.md": 10,
            "publishing.md": 5,
            "coming-from-slime.md": 1,
            "coming-from-verifiers.md": 5,
            "hooks.md": 44,
            "records.md": 14,
            "debugging.md": 9,
        }.items()
    ), counts


def test_what_is_not_run_is_in_some_page() -> None:
    lines = [
        line.partition("#")[0].strip()
        for page in PAGES
        for block in blocks(page)
        for line in block.text.splitlines()
    ]
    assert set(NOT_RUN) <= set(lines)


def test_a_block_that_fails_is_seen(reader: Reader) -> None:
    with pytest.raises(AssertionError):
        reader.follow(Block("python", "assert 1 == 2\n"))
    for script in ("false\ntrue\n", "slime --plugin no_such_plugin\n", "slime-conformance none\n"):
        with pytest.raises(AssertionError, match=re.escape(script.split("\n")[0])):
            reader.follow(Block("sh", script))
    with pytest.raises(tomllib.TOMLDecodeError):
        reader.follow(Block("toml", "plugins = [\n"))
    settings = f'plugins = ["sft"]\nmodel = "{MODEL}"\n[rollout]\npromts_per_step = 1\n'
    with pytest.raises(AssertionError, match="promts_per_step"):
        reader.follow(Block("toml", settings))
    with pytest.raises(KeyError):
        reader.follow(Block("console", "$ true\n"))


def test_only_training_gets_a_dry_run() -> None:
    script, left_out = runnable(
        "slime --plugin a\nslime --plugin a --dry-run\nslime plugins list\nmake demo  # minutes\n",
        Path("m"),
    )
    assert script == "slime --plugin a --dry-run\nslime --plugin a --dry-run\nslime plugins list"
    assert left_out == [
        "slime --plugin a: would train; run with --dry-run",
        "make demo: takes minutes; tests/demo runs it",
    ]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_and_anchor_of_a_page_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.M)
            assert anchor in {title.lower().replace(" ", "-") for title in titles}, anchor


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_hook_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    named = set(re.findall(r"`(slime_[a-z_]+)`", text))
    named |= {f"slime_{name}" for name in re.findall(r"def slime_([a-z_]+)\(", text)}
    packages = {name for name in named if name.startswith(("slime_plugin_", "slime_hookspecs"))}
    fixtures = {"slime_engine", "slime_context", "slime_tokenizer", "slime_core"}
    assert named - packages - fixtures <= set(HOOKS)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_option_that_a_page_names_in_its_text_is_there(page: Path, environment: Path) -> None:
    """But for those that engines get as they are: only an engine could tell."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    named = set(re.findall(r"`(?:slime )?(--(?!sglang-|router-|megatron-)[a-z-]+)[ `]", prose))
    if page.name == "coming-from-slime.md":
        named -= set(UPSTREAM) | {"--custom-config-path", "--rm-type", "--eval-config"}
    known = "".join(
        subprocess.run(
            [str(environment / command), *arguments, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command, *arguments in (
            ("slime",),
            ("slime-conformance",),
            ("slime", "plugins", "new"),
            ("slime", "plugins", "list"),
            ("slime", "plugins", "doctor"),
            ("slime", "rollouts"),
        )
    )
    options = set(re.findall(r"--[a-z][a-z-]+", known)) | {"--slime-plugin", "--resume"}
    options |= {"--sglang-enable-metrics"}  # of SGLang's, which only a run asks
    assert named <= options, sorted(named - options)


#: The function flags of THUDM's slime.
UPSTREAM = (
    "--rollout-function-path",
    "--eval-function-path",
    "--custom-generate-function-path",
    "--rollout-sample-hook-path",
    "--custom-rm-path",
    "--custom-reward-post-process-path",
    "--dynamic-sampling-filter-path",
    "--buffer-filter-path",
    "--rollout-sample-filter-path",
    "--rollout-all-samples-process-path",
    "--data-source-path",
    "--custom-convert-samples-to-train-data-path",
    "--custom-rollout-log-function-path",
    "--custom-eval-rollout-log-function-path",
    "--custom-advantage-function-path",
    "--custom-loss-function-path",
    "--custom-tis-function-path",
    "--custom-pg-loss-reducer-function-path",
    "--rollout-data-postprocess-path",
    "--custom-model-provider-path",
    "--custom-megatron-init-path",
    "--custom-megatron-before-log-prob-hook-path",
    "--custom-megatron-before-train-step-hook-path",
    "--custom-update-weight-post-write-path",
)


def test_each_function_flag_of_the_other_slime_has_a_row() -> None:
    text = (ROOT / "docs" / "coming-from-slime.md").read_text("utf-8")
    rows = re.findall(r"^\| `(--[a-z-]+)` \| (.+) \|$", text, re.M)
    assert tuple(flag for flag, _ in rows) == UPSTREAM
    for flag, answer in rows:
        assert re.search(r"`slime_\w+`|`--[a-z-]+|no hook", answer), flag
