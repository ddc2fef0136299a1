"""What a process is about at this moment, for people: /debug, on the loopback interface only."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, TypeAlias

import yaml
from aiohttp import web

Json: TypeAlias = Any
Section: TypeAlias = Callable[[], Json]


def debug_pages(sections: Mapping[str, Section]) -> web.Application:
    """/debug lists the sections, /debug/NAME shows one; as YAML, or JSON for ``?format=json`` and who accepts that.

    Args:
        sections: What there is to show, by name; asked on the event loop at each request.
    """
    app = web.Application()
    app.router.add_get("/debug", _page(lambda: [f"/debug/{name}" for name in sections]))
    for name, section in sections.items():
        app.router.add_get(f"/debug/{name}", _page(section))
    return app


def tasks() -> Json:
    """Every task of the running event loop with its stack, the innermost call last."""
    return [
        {"task": task.get_name(), "stack": list(_stack(task.get_coro()))}
        for task in sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    ]


def _page(section: Section) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.Response:
        found = section()
        accepted = request.headers.get("Accept", "")
        if request.query.get("format") == "json" or "application/json" in accepted:
            return web.Response(text=json.dumps(found, indent=2) + "\n", content_type="application/json")
        return web.Response(text=yaml.safe_dump(found, sort_keys=False, width=200, allow_unicode=True))

    return answer


def _stack(awaited: Any) -> Iterator[str]:
    """The calls of a suspended coroutine: a task's own stack ends at its first ``await``."""
    while awaited is not None:
        frame: FrameType | None = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is None:
            return
        code = frame.f_code
        yield f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
