"""What jobs need done that no reconcile waits for."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import structlog

from marie_operator.runtime.resource import ObjectKey

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_FIRST_RETRY = 2.0
_LAST_RETRY = 60.0

log = structlog.get_logger(__name__)


def uncounted() -> None:
    """Take no note of a defect."""


class Background:
    """Does one thing at a time for each job, while it runs: the leader alone does.

    Args:
        name: What it does, for the log.
        on_failure: Called with a job's key when its work raised what nobody expected, and with what to say of that; it
            is tried again by itself.
        on_defect: Called each time that happens, for metrics.
    """

    def __init__(
        self, name: str, *, on_failure: Callable[[ObjectKey, str], None], on_defect: Callable[[], None]
    ) -> None:
        self._log = log.bind(work=name)
        self._on_failure = on_failure
        self._on_defect = on_defect
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
        delay = _FIRST_RETRY
        try:
            while True:
                try:
                    await work()
                except Exception as error:  # noqa: BLE001 - a defect in the work for one job must not end that for others
                    self._on_defect()
                    self._log.exception(
                        "failed unexpectedly; will try again", namespace=job.namespace, name=job.name, seconds=delay
                    )
                    self._on_failure(job, _told(error))
                else:
                    return
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_RETRY)
        finally:
            if self._tasks.get(job) is asyncio.current_task():
                del self._tasks[job]


def _told(error: BaseException) -> str:
    """What a job says of a defect: not the text, which may hold what Secrets hold."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"Unexpected {type(error).__name__}; see the operator's log. The operator tries again."
