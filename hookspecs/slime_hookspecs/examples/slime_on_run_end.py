"""Says how the run ended, where a desk lamp or a chat could be told as well."""

from slime_hookspecs import RunEndEvent, hookimpl


@hookimpl
async def slime_on_run_end(event: RunEndEvent) -> None:
    print(f"{event.status} after {event.steps_done} steps")
