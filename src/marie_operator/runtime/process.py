"""An operator's process: what it needs of the outside, made once, from its start to its end."""

import asyncio
import gc
import os
import signal
import socket
import sys
import traceback
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog
from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Info,
    disable_created_metrics,
)

from marie_operator.runtime.cache import Cache
from marie_operator.runtime.children import Children
from marie_operator.runtime.client import Client
from marie_operator.runtime.clock import Clock, LoopClock, SystemClock
from marie_operator.runtime.controller import RECONCILE_TIMEOUT, Controller, Result
from marie_operator.runtime.debug import debug_pages
from marie_operator.runtime.election import Elector, LeadershipLost
from marie_operator.runtime.errors import StartError
from marie_operator.runtime.events import EventRecorder
from marie_operator.runtime.health import Check, LoopLag, Server, metrics_page, probes
from marie_operator.runtime.manager import Manager, NotEnded, cancelled
from marie_operator.runtime.metrics import Metrics
from marie_operator.runtime.otlp import tracing
from marie_operator.runtime.resource import ObjectKey, Resource
from marie_operator.runtime.tracing import Tracer
from marie_operator.runtime.watchdog import ProcessWatchdog
from marie_operator.runtime.writer import Writer

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a process can be told.

    Attributes:
        name: Of the operator; the API server's audit log, the lease, fields and events have it.
        version: Of the operator, for the audit log.
        kubeconfig: A file; None for the one that kubectl would take, or the pod's service account.
        context: Within the kubeconfig; None for its current one.
        namespaces: Which to look after; empty for all.
        leader_election: Whether to work only while holding the lease; needed with more than one replica.
        lease_name: Of the lease; empty for the operator's name.
        lease_namespace: Of the lease; empty for the pod's own, and outside of pods ``default``.
        metrics_bind_address: Of /metrics, as ``[host]:port``; ``0`` for none. Without it, METRICS_BIND_ADDRESS of the
            environment, or ``:8080``.
        health_probe_bind_address: Of /healthz and /readyz, as ``[host]:port``; ``0`` for none. Without it,
            HEALTH_PROBE_BIND_ADDRESS of the environment, or ``:8081``.
        debug_bind_address: Of /debug, as ``127.0.0.1:port`` or another loopback address; ``0`` for none. Without it,
            DEBUG_BIND_ADDRESS of the environment, or ``0``.
    """

    name: str
    version: str = "0"
    kubeconfig: Path | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    leader_election: bool = False
    lease_name: str = ""
    lease_namespace: str = ""
    metrics_bind_address: str = field(default_factory=lambda: os.environ.get("METRICS_BIND_ADDRESS", ":8080"))
    health_probe_bind_address: str = field(default_factory=lambda: os.environ.get("HEALTH_PROBE_BIND_ADDRESS", ":8081"))
    debug_bind_address: str = field(default_factory=lambda: os.environ.get("DEBUG_BIND_ADDRESS", "0"))

    def lease(self) -> ObjectKey:
        """Where the lease is."""
        return ObjectKey(self.lease_namespace or own_namespace("default"), self.lease_name or self.name)


def own_namespace(otherwise: str) -> str:
    """The namespace of the pod that this process runs in; ``otherwise`` where it runs in none."""
    mounted = SERVICE_ACCOUNT / "namespace"
    return mounted.read_text(encoding="utf-8").strip() if mounted.exists() else otherwise


class Process:
    """An operator's process, which is connected while it is entered.

    ``run`` starts what it has made: probes and metrics, copies, the lease, then controllers; and ends it the other way
    when the process is asked to stop (M-01, M-05).

    Args:
        options: What it was told.

    Attributes:
        options: What it was told.
        instance: A name for this process that no other has.
        clock: The event loop's.
        metrics: Its metrics.
        client: Reads and writes; writes are refused unless this process surely leads.
        cache: Copies of what is on the API server.
        writer: Writes that ``cache`` knows of when they return.
        events: Records events.
        elector: Says who leads; None when whoever runs does.
        tracer: Has spans of requests and reconciles, where OTEL_EXPORTER_OTLP_ENDPOINT says where they go; else None.
    """

    client: Client
    cache: Cache
    writer: Writer
    events: EventRecorder
    elector: Elector | None
    tracer: Tracer | None

    def __init__(self, options: Options) -> None:
        # A time of creation beside each counter doubles the scrape and says nothing that the restart does not.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.options = options
        self.instance = f"{socket.gethostname()}_{uuid.uuid4()}"
        self.clock: Clock = LoopClock()
        registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            registry.register(collector)
        built = {"name": options.name, "version": options.version}
        Info("operator_build", "Name and version of the operator.", registry=registry).info(built)
        self.metrics = Metrics(registry)
        self._lag = LoopLag(clock=self.clock, metrics=self.metrics)
        self._watchdog = ProcessWatchdog()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConfigError: there is no usable configuration.
            StartError: traces are asked for, but not installed.
        """
        async with AsyncExitStack() as stack:
            name, version = self.options.name, self.options.version
            self.tracer = await stack.enter_async_context(tracing(os.environ, name=name, version=version))
            agent = f"{name}/{version}"
            client = await stack.enter_async_context(await self._connected(agent, self.tracer))
            self.elector = None
            if self.options.leader_election:
                # The lease has a connection of its own: nothing else may delay a renewal.
                lease = await stack.enter_async_context(await self._connected(f"{agent} leader-election"))
                self.elector = self._elector(lease)
            self.client = client if self.elector is None else client.fenced(self.elector.check)
            self.cache = Cache(client, namespaces=self.options.namespaces, clock=self.clock, metrics=self.metrics)
            self.writer = Writer(self.client, self.cache)
            self.events = EventRecorder(
                self.client,
                controller=self.options.name,
                instance=self.instance,
                clock=self.clock,
                metrics=self.metrics,
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        # Its connections are closed: nothing of it can write any more, whatever else this program goes on to do.
        self._watchdog.disarm()

    def controller(
        self,
        name: str,
        reconcile: Callable[[ObjectKey], Awaitable[Result]],
        *,
        concurrency: int = 1,
        timeout: float = RECONCILE_TIMEOUT,
    ) -> Controller:
        """A controller in this process, as ``Controller`` says."""
        return Controller(
            name,
            reconcile,
            concurrency=concurrency,
            timeout=timeout,
            clock=self.clock,
            metrics=self.metrics,
            tracer=self.tracer,
        )

    def children(self, owner: Resource, *kinds: Resource) -> Children:
        """What objects of a kind own, as ``Children`` says."""
        return Children(owner, kinds, cache=self.cache, writer=self.writer, field_manager=self.options.name)

    async def run(self, *controllers: Controller) -> None:
        """Run controllers on the process's own cache until SIGTERM or SIGINT.

        Raises:
            BindError: an address for probes or metrics cannot be listened on.
            LeadershipLost: the lease could not be kept; the process must end.
            Exception: the first error of anything that must run (M-04).
        """
        await self.serve(
            Manager(
                cache=self.cache,
                controllers=controllers,
                leading=[self.events.run],
                finishing=[self.events.flush],
                elector=self.elector,
            )
        )

    async def serve(self, manager: Manager) -> None:
        """Run a manager until SIGTERM or SIGINT, between the process's endpoints.

        Raises:
            BindError: an address for probes or metrics cannot be listened on.
            LeadershipLost: the lease could not be kept; the process must end.
            Exception: the first error of anything that must run (M-04).
        """
        stop = asyncio.Event()
        with _signals(stop):
            async with AsyncExitStack() as stack:
                for server in self._servers(manager):
                    await stack.enter_async_context(server)
                lag = asyncio.create_task(self._lag.run(), name="loop lag")
                stack.callback(lag.cancel)
                await manager.run(stop)
        log.info("stopped")

    async def _connected(self, agent: str, tracer: Tracer | None = None) -> Client:
        return await Client.connect(
            kubeconfig=self.options.kubeconfig,
            context=self.options.context,
            user_agent=agent,
            clock=self.clock,
            metrics=self.metrics,
            tracer=tracer,
        )

    def _elector(self, client: Client) -> Elector:
        namespace, name = self.options.lease()
        return Elector(
            client,
            namespace=namespace,
            name=name,
            identity=self.instance,
            clock=SystemClock(),
            metrics=self.metrics,
            watchdog=self._watchdog,
        )

    def _servers(self, manager: Manager) -> Sequence[Server]:
        live: Mapping[str, Check] = {"event-loop": self._lag.problem} | (
            {} if self.elector is None else {"leader-election": self.elector.problem}
        )
        return (
            Server(
                self.options.health_probe_bind_address,
                setting="HEALTH_PROBE_BIND_ADDRESS",
                app=probes(live=live, ready={"caches": manager.behind}),
            ),
            Server(
                self.options.metrics_bind_address,
                setting="METRICS_BIND_ADDRESS",
                app=metrics_page(self.metrics, manager.measure),
            ),
            Server(
                self.options.debug_bind_address,
                setting="DEBUG_BIND_ADDRESS",
                app=debug_pages(manager.sections()),
                private=True,
            ),
        )


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run a program to its end, on the fastest event loop there is, with a garbage collector that bears caches.

    A cache that grows is no garbage, but to look for some in it again and again takes twice the time of filling it, and
    holds up everything else for tenths of a second.

    Args:
        main: The program; what it raises to say that it cannot start is told in a sentence, without a traceback.

    Returns:
        The exit code: 0 after a clean stop, 1 after an error, which has been told. A process with a task that absorbs
        its cancellation ends here, with 1.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(main())
        except StartError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except LeadershipLost as error:
            # Another process may lead by now: this one ends, and is started again as a standby.
            log.error("leadership lost", problem=str(error))  # noqa: TRY400 - the message says it all
            return 1
        except NotEnded as error:
            log.error("could not stop in good order", problem=str(error))  # noqa: TRY400 - the message says it all
            return 1
        finally:
            _end_although(runner.run(_left_over()))
    return 0


async def _left_over() -> Collection[asyncio.Task[Any]]:
    """Tasks that go on although the program has ended and they are cancelled."""
    return await cancelled(asyncio.all_tasks() - {asyncio.current_task()})


def _end_although(left: Collection[asyncio.Task[Any]]) -> None:
    """End the process where it stands, if there are tasks that do not end: the event loop would wait for them."""
    if not left:
        return
    if sys.exception() is not None:
        traceback.print_exc()
    log.critical("tasks do not end although they are cancelled", tasks=sorted(task.get_name() for task in left))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Have the first signal set ``stop``, and the second one end the process where it stands (M-11)."""
    loop, numbers = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop, where that is installed."""
    try:
        import uvloop  # noqa: PLC0415 - an optional extra
    except ImportError:
        return None
    return uvloop.new_event_loop
