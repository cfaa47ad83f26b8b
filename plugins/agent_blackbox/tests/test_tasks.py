"""Tasks come from rows that are checked, and reach the agent as files, variables and words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blackbox_support import account, make_task, script
from slime_hookspecs import ConfigError, DataError
from slime_hookspecs.testing.kit import make_context, make_group, make_run, make_sample
from slime_plugin_agent_blackbox import Options, slime_data_source, slime_eval_sets, tasks
from slime_plugin_agent_blackbox.examples import sums
from slime_plugin_agent_blackbox.folders import FILES, make, remove, task_of, text_of

Play = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., str]:
    """Writes rows to a file, and names it."""

    def write(*rows: Any, name: str = "train.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write


def one(data: Callable[..., str], row: Any, **options: Any) -> Any:
    """The prompt of a row."""
    (found,) = tasks.prompts(Options(data=data(row), **options))
    return found


def test_a_row_is_a_task(data: Callable[..., str]) -> None:
    found = one(data, {"prompt": "2+2=", "label": 4, "metadata": {"level": 1}})
    assert found.id == "train/1"
    assert found.messages == [{"role": "user", "content": "2+2="}]
    assert (found.label, found.metadata) == (4, {"level": 1})


def test_a_conversation_may_be_the_task_and_a_label_is_not_needed(
    data: Callable[..., str],
) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    found = one(data, {"prompt": messages})
    assert (found.messages, found.label, found.metadata) == (messages, None, {})


def test_columns_may_have_other_names(data: Callable[..., str]) -> None:
    row = {"question": "2+2=", "gold": [4]}
    found = one(data, row, prompt_column="question", label_column="gold")
    assert (text_of(found), found.label) == ("2+2=", [4])
    with pytest.raises(DataError, match=r"train.jsonl:1: no column 'gld'.*did you mean 'gold'"):
        one(data, row, prompt_column="question", label_column="gld")


def test_files_are_texts_or_copies_of_what_is_beside_the_data(
    data: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "lib").mkdir()
    files = {"a/b.txt": "text", "lib": {"from": "lib"}}
    found = one(data, {"prompt": "x", "files": files})
    assert found.metadata[FILES] == {"a/b.txt": "text", "lib": {"from": str(tmp_path / "lib")}}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "no column 'prompt'"),
        ({"prompt": " "}, "'prompt' is ' '"),
        ({"prompt": 7}, "'prompt' is 7"),
        ({"prompt": "x", "metadata": [1]}, r"'metadata' is \[1\]; it must be an object"),
        ({"prompt": "x", "files": ["a"]}, r"'files' is \['a'\]; it must be an object"),
        ({"prompt": "x", "files": {"/etc/x": ""}}, "'/etc/x'; a path must stay in"),
        ({"prompt": "x", "files": {"a/../../x": ""}}, "a path must stay in"),
        ({"prompt": "x", "files": {"": ""}}, "a path must stay in"),
        ({"prompt": "x", "files": {"a\0": ""}}, "a path must stay in"),
        ({"prompt": "x", "files": {"a": 7}}, "has 7 for 'a'; it must be a text"),
        ({"prompt": "x", "files": {"a": {"from": "gone"}}}, "from 'gone', and there is no /"),
    ],
)
def test_a_row_that_is_wrong_is_named_by_file_and_line(
    data: Callable[..., str], row: Any, message: str
) -> None:
    with pytest.raises(DataError, match=f"train.jsonl:2: .*{message}"):
        tasks.prompts(Options(data=data({"prompt": "right"}, row)))


def test_without_data_there_is_nothing_to_do() -> None:
    with pytest.raises(ConfigError, match=r"has no data; name a file with --agent-blackbox.data"):
        slime_data_source(Options(command="true"), make_run())
    with pytest.raises(DataError, match="no such file"):
        tasks.prompts(Options(data="/no/such.jsonl"))


def test_held_out_files_are_sets_of_their_own(data: Callable[..., str]) -> None:
    paths = [data({"prompt": "x"}, name="hard-ones.jsonl"), data({"prompt": "y"}, name="b.jsonl")]
    found = slime_eval_sets(Options(eval_data=paths, eval_samples_per_prompt=3))
    assert [(one.name, one.samples_per_prompt) for one in found] == [("hard_ones", 3), ("b", 3)]
    assert slime_eval_sets(Options()) == []


def test_sets_report_the_means_of_all_numbers_that_rewards_come_with() -> None:
    group = make_group([0.0, 1.0, None])
    for number, sample in enumerate(group.scored):
        sample.rewards["made"].metrics["tests"] = float(number)
    assert tasks.measured([group]) == {"tests": 0.5}
    assert tasks.measured([]) == {}


def test_the_built_in_task_holds_out_some_of_its_sums() -> None:
    train, held_out = sums.prompts(held_out=False), sums.prompts(held_out=True)
    assert (len(train), len(held_out)) == (80, 20)
    assert len({prompt.id for prompt in (*train, *held_out)}) == 100
    (found,) = slime_eval_sets(Options(task="sums"))
    assert found.prompts == held_out


@pytest.mark.parametrize(
    ("text", "value"), [("3", 1.0), (" 03\n", 1.0), ("4", 0.2), ("a4", 0.1), ("", 0.0), ("x", 0.0)]
)
def test_sums_are_worth_1_and_digits_a_little(tmp_path: Path, text: str, value: float) -> None:
    sample = make_sample(sums.prompt(1, 2), response=text)
    assert sums.score(sample, tmp_path).value == pytest.approx(value)
    (tmp_path / "answer.txt").write_text("3")
    assert sums.score(sample, tmp_path).value == 1.0


def test_the_label_is_for_the_reward_and_not_for_the_agent(context: Callable[..., Any]) -> None:
    sample = make_sample(make_task(metadata={"a": 1, FILES: {"b": "text"}}))
    told = task_of(sample, context(seed=7))
    assert (told["prompt"], told["metadata"], told["seed"]) == ("2+2=", {"a": 1}, 7)
    assert "label" not in told
    assert task_of(sample, context(show_label=True))["label"] == "4"


def test_an_agent_finds_its_task_everywhere_and_of_the_surroundings_only_what_it_may(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path
) -> None:
    monkeypatch.setenv("A_SECRET", "1")
    monkeypatch.setenv("ALLOWED", "2")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "x.py").write_text("x")
    files = {"a/b.txt": "text", "lib": {"from": str(tmp_path / "lib")}}
    files["c"] = {"from": str(tmp_path / "lib" / "x.py")}
    hostile = "{task_file} $HOME `id` ; 'x"
    sample = play(
        command=script("shows") + " {prompt} '{model} {unknown} ${here}' {reward_file}",
        prompt=make_task(hostile, metadata={FILES: files, "k": "v"}),
        reward="exit-status",
        env={"MORE": 3},
        env_pass=["PATH", "ALLOWED", "NOT_THERE"],
        output_chars=100_000,
    )
    shown = json.loads(account(sample)["stdout"])
    env = shown["env"]
    assert shown["argv"][:2] == [hostile, "default {unknown} ${here}"]
    assert shown["argv"][2] == env["SLIME_REWARD_FILE"]
    assert shown["cwd"] == env["SLIME_WORK_DIR"]
    assert Path(shown["cwd"]).parent.parent == folder
    assert shown["files"] == {"a/b.txt": "text", "c": "x", "lib/x.py": "x"}
    assert (shown["stdin"], shown["task"]["metadata"]) == ("", {"k": "v"})
    assert (env["SLIME_PROMPT"], env["ALLOWED"], env["MORE"]) == (hostile, "2", "3")
    assert "A_SECRET" not in env
    assert env["OPENAI_BASE_URL"] == env["ANTHROPIC_BASE_URL"] + "/v1"
    assert env["OPENAI_API_KEY"] == "sk-scripted"
    assert "127.0.0.1" in env["NO_PROXY"]


async def test_a_folder_is_deleted_whatever_is_in_it(context: Callable[..., Any]) -> None:
    found = await make(make_sample(make_task()), context())
    deep = found.work
    for _ in range(50):
        deep = deep / "deep"
        deep.mkdir()
    (found.work / "link").symlink_to("/etc")
    (found.work / "deep").chmod(0)
    await remove(found)
    assert not found.root.exists()
    assert Path("/etc").is_dir()


async def test_a_prompt_that_is_no_text_can_be_written(context: Callable[..., Any]) -> None:
    found = await make(make_sample(make_task("half \ud83d")), context())
    assert json.loads(found.task.read_bytes().decode("utf-8", "surrogatepass"))["prompt"]
    await remove(found)


async def test_the_folder_is_in_the_runs_own_unless_the_user_says_where(tmp_path: Path) -> None:
    ctx = make_context(options=Options(), run=make_run(tmp_path))
    found = await make(make_sample(make_task()), ctx)
    assert found.root.parent == tmp_path / "plugins" / "agent_blackbox" / "agents"
    await remove(found)
