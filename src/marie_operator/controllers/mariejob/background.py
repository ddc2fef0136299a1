"""What jobs need done that no reconcile waits for."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from marie_operator.runtime.resource import ObjectKey

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Background:
    """Does one thing at a time for each job, while it runs: the leader alone does."""

    def __init__(self) -> None:
        self._asked: dict[ObjectKey, Work] = {}
        self._tasks: dict[ObjectKey, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    def begin(self, job: ObjectKey, work: Work) -> None:
        """Have something done for ``job``, unless something is; whoever ends looks first whether there is more."""
        if job not in self._tasks:
            self._asked[job] = work
            self._wake.set()

    def end(self, job: ObjectKey) -> None:
        """Do nothing more for ``job`` of what was begun."""
        self._asked.pop(job, None)
        if (task := self._tasks.pop(job, None)) is not None:
            task.cancel()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for job, work in self._asked.items():
                    self._tasks[job] = group.create_task(self._do(job, work))
                self._asked.clear()

    async def _do(self, job: ObjectKey, work: Work) -> None:
        try:
            await work()
        finally:
            if self._tasks.get(job) is asyncio.current_task():
                del self._tasks[job]
