"""The process's own endpoints: /healthz, /readyz and /metrics."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self, TypeAlias

from aiohttp import web

from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import StartError
from marie_operator.runtime.metrics import Metrics

Check: TypeAlias = Callable[[], str]
"""Why something is not well, as a sentence; empty while it is."""

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

OFF = "0"


class BindError(StartError):
    """An address cannot be listened on; the message says which and what to change."""


class Server:
    """An HTTP server that runs while it is entered.

    Args:
        address: ``[host]:port``; ``0`` for no server at all.
        setting: The name of the setting that holds the address, for the error message.
        app: What it serves.
        private: Refuse an address that other machines can reach.
    """

    def __init__(self, address: str, *, setting: str, app: web.Application, private: bool = False) -> None:
        self._address = address
        self._setting = setting
        self._app = app
        self._private = private
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            BindError: the address is malformed, taken, or reached from elsewhere although it must not be.
        """
        if self._address == OFF:
            return self
        host, separator, port = self._address.rpartition(":")
        if not separator or not port.isdigit():
            raise BindError(f"{self._setting}={self._address} is no address; give [host]:port, or 0 for none")
        if self._private and not _is_loopback(host.strip("[]")):
            raise BindError(
                f"{self._setting}={self._address} can be reached from other machines, and what it shows is for nobody"
                f" else; give 127.0.0.1:{port}, and look from elsewhere with kubectl port-forward"
            )
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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def probes(*, live: Mapping[str, Check], ready: Mapping[str, Check]) -> web.Application:
    """/healthz and /readyz, asked and answered as the API server's own (M-12).

    ``?verbose`` lists the checks, which a failure does anyway; ``?exclude=name`` leaves one out, and may be repeated;
    ``/readyz/name`` is one alone. A failed check also says why: who may ask is for the network to say.
    """
    app = web.Application()
    for path, given in (("/healthz", live), ("/readyz", ready)):
        checks = given or {"ping": lambda: ""}
        app.router.add_get(path, _all_of(path.lstrip("/"), checks))
        for name, check in checks.items():
            app.router.add_get(f"{path}/{name}", _one(check))
    return app


def metrics_page(metrics: Metrics, before: Callable[[], None]) -> web.Application:
    """/metrics; ``before`` brings gauges up to date that depend on the time of the scrape."""

    async def answer(request: web.Request) -> web.Response:
        before()
        body, content_type = await metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    return app


def _all_of(name: str, checks: Mapping[str, Check]) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        left_out = set(request.query.getall("exclude", ()))
        found = {each: check() for each, check in checks.items() if each not in left_out}
        failed = any(found.values())
        if not failed and "verbose" not in request.query:
            return _text("ok", 200)
        lines = [f"[+]{each} excluded: ok" if each in left_out else _line(each, found[each]) for each in checks]
        if unknown := ", ".join(f'"{each}"' for each in sorted(left_out - checks.keys())):
            lines.append(f"warn: some health checks cannot be excluded: no matches for {unknown}")
        lines.append(f"{name} check {'failed' if failed else 'passed'}")
        return _text("\n".join(lines) + "\n", 500 if failed else 200)

    return answer


def _one(check: Check) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        problem = check()
        return _text(f"internal server error: {problem}\n", 500) if problem else _text("ok", 200)

    return answer


def _line(name: str, problem: str) -> str:
    return f"[-]{name} failed: {problem}" if problem else f"[+]{name} ok"


def _text(text: str, status: int) -> web.Response:
    return web.Response(text=text, status=status, headers={"X-Content-Type-Options": "nosniff"})


class LoopLag:
    """Watches how late the event loop wakes: a blocking call delays leases, watches and probes alike (W-26).

    Args:
        clock: The loop's.
        metrics: operator_event_loop_lag_seconds.
    """

    PERIOD = 1.0
    LIMIT = 5.0

    def __init__(self, *, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._histogram = metrics.loop_lag
        self._lag = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            began = self._clock.monotonic()
            await asyncio.sleep(self.PERIOD)
            self._lag = max(self._clock.monotonic() - began - self.PERIOD, 0.0)
            self._histogram.observe(self._lag)

    def problem(self) -> str:
        """For liveness: why the loop is not well; empty while it is."""
        return f"the event loop woke {self._lag:.1f} s late" if self._lag > self.LIMIT else ""
