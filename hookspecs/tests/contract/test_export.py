"""The contract as JSON is what the code says, and no version changes without its changelog."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import slime_hookspecs
from slime_hookspecs import API_VERSION, HOOKS, Context, Engine, Sample, StopReason, export

FOLDER = Path(__file__).parents[2]
FILE = FOLDER / "contract.json"
CHANGELOG = FOLDER / "CHANGELOG.md"
CONTRACT = export.contract()


def entries(text: str) -> dict[str, str]:
    """The changelog's entries by version, newest first."""
    parts = re.split(r"^## (\d+\.\d+)\b.*\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def complaint(contract: str, changelog: str, version: str) -> str:
    """What is wrong with a contract's entry in the changelog; empty where nothing is."""
    digest = export.digest(contract)
    known = entries(changelog)
    if version not in known:
        return f"API_VERSION is {version}, of which the changelog says nothing"
    if f"Digest: `{digest}`" in known[version].splitlines():
        return ""
    return (
        f"the contract changed, and the changelog does not say so. If {version} is published, "
        f"raise API_VERSION and begin an entry; else say under {version} what changed, and write\n"
        f"Digest: `{digest}`"
    )


def test_the_file_is_what_the_code_says() -> None:
    assert FILE.read_text(encoding="utf-8") == export.to_text(), (
        "contract.json is out of date: make docs"
    )


def test_the_changelog_has_the_digest_of_this_version() -> None:
    changelog = CHANGELOG.read_text(encoding="utf-8")
    assert not (wrong := complaint(export.to_text(), changelog, API_VERSION)), wrong


def test_each_version_has_one_digest_and_says_what_it_brought() -> None:
    known = entries(CHANGELOG.read_text(encoding="utf-8"))
    numbers = [tuple(map(int, version.split("."))) for version in known]
    assert numbers == sorted(numbers, reverse=True)
    for version, text in known.items():
        assert len(re.findall(r"^Digest: `[0-9a-f]{64}`$", text, re.M)) == 1, version
        assert re.search(r"^- \S", text, re.M), version
    digests = re.findall(r"^Digest: `(.*)`$", CHANGELOG.read_text(encoding="utf-8"), re.M)
    assert len(set(digests)) == len(digests), "two versions have one digest"


def test_a_changed_contract_is_refused_until_the_changelog_knows_it() -> None:
    log = f"## 0.2\n\nDigest: `{export.digest('new')}`\n\n- more\n\n## 0.1\n\nDigest: `1`\n"
    assert complaint("new", log, "0.2") == ""
    assert f"write\nDigest: `{export.digest('newer')}`" in complaint("newer", log, "0.2")
    assert "the contract changed" in complaint("new", log, "0.1")
    assert complaint("new", log, "0.3") == "API_VERSION is 0.3, of which the changelog says nothing"


def test_every_hook_is_exported_with_all_its_promises() -> None:
    assert list(CONTRACT["hooks"]) == list(HOOKS)
    for name, info in HOOKS.items():
        found = CONTRACT["hooks"][name]
        assert tuple(found["arguments"]) == info.parameters
        told = {k: found[k] for k in ("role", "since")}
        assert told == {"role": info.role, "since": info.since}
        for field in ("cardinality", "colour", "process", "on_failure"):
            assert found[field] == getattr(info, field).value


def test_a_hook_is_exported_whole() -> None:
    assert CONTRACT["hooks"]["slime_wrap_reward"] == {
        "role": "wrap_reward",
        "arguments": {"call_next": "NextReward", "sample": "Sample", "ctx": "AnyContext"},
        "returns": "float | Reward",
        "cardinality": "ordered chain",
        "colour": "async",
        "process": "rollout",
        "on_failure": "sample",
        "since": "0.1",
    }


def test_every_public_name_but_the_decorator_is_somewhere_in_the_file() -> None:
    text = export.to_text()
    parts = ("records", "interfaces", "aliases", "enums", "errors")
    named = {name for part in parts for name in CONTRACT[part]}
    values = {"API_VERSION", "CAPABILITIES", "ENTRY_POINT_GROUP", "HOOKS", "PROJECT"}
    derived = {"KEEP", "NO_VERSION", "SlimeSpecs", "hookimpl"}
    assert set(slime_hookspecs.__all__) - named - values == derived
    assert all(f'"{name}"' in text for name in named)


def test_a_record_is_exported_with_types_and_defaults() -> None:
    assert CONTRACT["records"]["Reward"] == {
        "frozen": True,
        "fields": {
            "value": {"type": "float"},
            "metrics": {"type": "dict[str, float]", "default": "dict()"},
        },
        "members": {},
    }
    assert CONTRACT["records"]["Sample"]["fields"]["stop"] == {
        "type": "StopReason",
        "default": "pending",
    }
    assert CONTRACT["records"]["Group"]["members"] == {
        "scored": "property -> list[Sample]",
        "trained": "property -> list[Sample]",
    }
    assert CONTRACT["records"]["Context"]["members"] == {"rng": "property -> random.Random"}


@pytest.mark.parametrize("kind", [Sample, Context])
def test_a_record_is_exported_with_every_field(kind: Any) -> None:
    fields = [field.name for field in dataclasses.fields(kind)]
    assert list(CONTRACT["records"][kind.__name__]["fields"]) == fields


def test_an_interface_is_exported_with_its_signatures() -> None:
    engine = CONTRACT["interfaces"]["Engine"]
    assert engine["generate"] == (
        "async def (self, trace: Trace, sampling: Sampling | None = None) -> StopReason"
    )
    assert engine["render"].endswith("*, add_generation_prompt: bool = True) -> list[int]")
    assert set(engine) == {name for name in vars(Engine) if not name.startswith("_")}
    assert CONTRACT["interfaces"]["Trace"]["from_list"] == (
        "classmethod def (cls, rows: Iterable[dict[str, Any]]) -> Trace"
    )


def test_enums_errors_and_aliases_are_exported() -> None:
    assert CONTRACT["enums"]["StopReason"] == {r.name: r.value for r in StopReason}
    assert CONTRACT["errors"]["DataError"] == {"parent": "UserError", "exit_status": 2}
    assert CONTRACT["errors"]["SlimeError"] == {"parent": "Exception", "exit_status": 1}
    assert CONTRACT["aliases"]["NextReward"] == ("Callable[[Sample], Awaitable['float | Reward']]")
    assert CONTRACT["aliases"]["Kind"] == "Literal['prompt', 'sampled', 'observed', 'demonstrated']"


@pytest.mark.parametrize("module", ["slime_hookspecs.export", "slime_hookspecs.docs --json"])
def test_either_command_prints_the_file(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *module.split()], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == CONTRACT
    assert done.stdout == export.to_text()
