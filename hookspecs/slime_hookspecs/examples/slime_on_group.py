"""Writes a line for each group that was dropped, into this plugin's folder of the run."""

import json

from slime_hookspecs import AnyContext, Group, Verdict, hookimpl


@hookimpl
def slime_on_group(group: Group, verdict: Verdict, ctx: AnyContext) -> None:
    if verdict.keep:
        return
    folder = ctx.run.directory / "plugins" / "dropped"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "dropped.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"prompt": group.prompt.id, "reason": verdict.reason}) + "\n")
