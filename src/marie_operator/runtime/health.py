"""The process's own endpoints: /healthz, /readyz and /metrics."""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeAlias

from aiohttp import web

from marie_operator.runtime.clock import Clock
from marie_operator.runtime.metrics import Metrics

Check: TypeAlias = Callable[[], str]
"""Why something is not well, as a sentence; empty while it is."""

OFF = "0"


class BindError(Exception):
    """An address cannot be listened on; the message says which and what to change."""


class Server:
    """An HTTP server that runs while it is entered.

    Args:
        address: ``[host]:port``; ``0`` for no server at all.
        setting: The name of the setting that holds the address, for the error message.
        app: What it serves.
    """

    def __init__(self, address: str, *, setting: str, app: web.Application) -> None:
        self._address = address
        self._setting = setting
        self._app = app
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            BindError: the address is malformed or taken.
        """
        if self._address == OFF:
            return self
        host, separator, port = self._address.rpartition(":")
        if not separator or not port.isdigit():
            raise BindError(f"{self._setting}={self._address} is no address; give [host]:port, or 0 for none")
        self._runner = web.AppRunner(self._app, access_log=None, handle_signals=False)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host.strip("[]") or None, int(port)).start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            raise BindError(
                f"cannot listen on {self._address}: {error}. Give another address with {self._setting}, or 0 for none."
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port it listens on; 0 when it does not."""
        return self._runner.addresses[0][1] if self._runner is not None and self._runner.addresses else 0


def probes(*, live: Mapping[str, Check], ready: Mapping[str, Check]) -> web.Application:
    """/healthz and /readyz, each with ``?verbose`` and a sub-path for each check (M-12)."""
    app = web.Application()
    for path, checks in (("/healthz", live), ("/readyz", ready)):
        app.router.add_get(path, _all_of(path.lstrip("/"), checks))
        for name, check in checks.items():
            app.router.add_get(f"{path}/{name}", _all_of(name, {name: check}))
    return app


def metrics_page(metrics: Metrics, before: Callable[[], None]) -> web.Application:
    """/metrics; ``before`` brings gauges up to date that depend on the time of the scrape."""

    async def answer(_request: web.Request) -> web.Response:
        before()
        return web.Response(
            body=await metrics.exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    app = web.Application()
    app.router.add_get("/metrics", answer)
    return app


def _all_of(name: str, checks: Mapping[str, Check]) -> Callable[[web.Request], "asyncio.Future[web.Response]"]:
    async def answer(request: web.Request) -> web.Response:
        found = {each: check() for each, check in checks.items()}
        failed = any(found.values())
        if not failed and "verbose" not in request.query:
            return web.Response(text="ok")
        lines = [f"[-]{each} failed: {why}" if why else f"[+]{each} ok" for each, why in found.items()]
        lines.append(f"{name} check {'failed' if failed else 'passed'}")
        return web.Response(text="\n".join(lines) + "\n", status=500 if failed else 200)

    return answer  # type: ignore[return-value]


class LoopLag:
    """Watches how late the event loop wakes: a blocking call delays leases, watches and probes alike (W-26).

    Args:
        clock: The loop's.
        metrics: marie_operator_event_loop_lag_seconds.
    """

    PERIOD = 1.0
    LIMIT = 5.0

    def __init__(self, *, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._gauge = metrics.loop_lag
        self._lag = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            began = self._clock.monotonic()
            await asyncio.sleep(self.PERIOD)
            self._lag = max(self._clock.monotonic() - began - self.PERIOD, 0.0)
            self._gauge.set(self._lag)

    def problem(self) -> str:
        """For liveness: why the loop is not well; empty while it is."""
        return f"the event loop woke {self._lag:.1f} s late" if self._lag > self.LIMIT else ""
