"""Runs the operator: every collaborator is made here, and nowhere else."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable

import aiohttp
import structlog
from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    disable_created_metrics,
)

from marie_operator import __version__
from marie_operator.cli.assembly import Operator
from marie_operator.cli.settings import GatewayUrl, Settings, SettingsError, identity
from marie_operator.controllers import kinds, mariejob
from marie_operator.marie.transport import HttpTransport
from marie_operator.runtime import (
    ApiError,
    BindError,
    Client,
    ConfigError,
    Elector,
    Forbidden,
    LeadershipLost,
    LoopClock,
    LoopLag,
    Metrics,
    NotFound,
    ProcessWatchdog,
    Server,
    SystemClock,
    Unauthorized,
    Unreachable,
    metrics_page,
    probes,
)

USER_AGENT = f"marie-operator/{__version__}"

log = structlog.get_logger("marie_operator")


class StartError(Exception):
    """The operator cannot start; the message says what to do."""


def main(settings: Settings) -> int:
    """Run until a signal; 0 after a clean stop, 1 after an error, which has been told."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(serve(settings))
        except (ConfigError, SettingsError, StartError, BindError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except LeadershipLost as error:
            # Another process may lead by now: this one ends, and is started again as a standby.
            log.error("leadership lost", problem=str(error))  # noqa: TRY400 - the message says it all
            return 1
    return 0


async def serve(settings: Settings) -> None:
    """Run the operator with these settings until SIGTERM or SIGINT.

    Raises:
        ConfigError: no usable kubeconfig.
        SettingsError: a setting cannot work.
        StartError: the API server cannot be used.
        BindError: an address is taken.
        LeadershipLost: the lease could not be kept.
    """
    # A time of creation beside each counter doubles the scrape and says nothing that the restart does not.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    clock, registry = LoopClock(), CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    metrics = Metrics(registry)
    stop = _stop_on_signals()
    async with contextlib.AsyncExitStack() as stack:

        async def connected(agent: str) -> Client:
            client = await Client.connect(
                kubeconfig=settings.kubeconfig,
                context=settings.context,
                user_agent=agent,
                clock=clock,
                metrics=metrics,
            )
            return await stack.enter_async_context(client)

        name, gateway_url = identity(), GatewayUrl(settings.marie_url_template)
        client = await connected(USER_AGENT)
        await _check(client, settings)
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        # The lease has a connection of its own: nothing else may delay a renewal.
        lease = await connected(f"{USER_AGENT} leader-election") if settings.leader_election else None
        log.info("starting", version=__version__, server=client.url, namespaces=list(settings.namespaces) or "all")
        elector = None
        if lease is not None:
            elector = Elector(
                lease,
                namespace=settings.own_namespace(),
                name=settings.lease_name,
                identity=name,
                clock=SystemClock(),
                metrics=metrics,
                watchdog=ProcessWatchdog(),
            )
        lag = LoopLag(clock=clock, metrics=metrics)
        operator = Operator(
            client,
            elector=elector,
            transport=HttpTransport(session),
            lister=mariejob.S3Lister(os.environ),
            gateway_url=gateway_url.of,
            namespaces=settings.namespaces,
            concurrency=settings.concurrency,
            instance=name,
            clock=clock,
            metrics=metrics,
        )
        servers = _servers(settings, operator, elector, lag, metrics)
        await operator.manager(standing=[lag.run], servers=servers).run(stop)
        log.info("stopped")


def _servers(
    settings: Settings,
    operator: Operator,
    elector: Elector | None,
    lag: LoopLag,
    metrics: Metrics,
) -> list[Server]:
    def synced() -> str:
        waiting = [informer for informer in operator.cache.informers() if not informer.synced]
        return "; ".join(informer.last_error or f"{informer.resource} is being read" for informer in waiting)

    live = {"event-loop": lag.problem} | ({} if elector is None else {"leader-election": elector.problem})
    return [
        Server(
            settings.health_probe_bind_address,
            setting="HEALTH_PROBE_BIND_ADDRESS",
            app=probes(live=live, ready={"caches": synced}),
        ),
        Server(
            settings.metrics_bind_address, setting="METRICS_BIND_ADDRESS", app=metrics_page(metrics, operator.measure)
        ),
    ]


async def _check(client: Client, settings: Settings) -> None:
    """Find out at once what would otherwise show as endless retries.

    Raises:
        StartError: what is missing, and where to get it.
    """
    try:
        await client.version()
        for resource in (kinds.MARIE_CLUSTERS, kinds.MARIE_JOBS):
            for namespace in settings.namespaces or ("",):
                await anext(client.pages(resource, namespace, limit=1))
    except Unreachable as error:
        raise StartError(f"the API server at {client.url} does not answer: {error}") from error
    except NotFound as error:
        raise StartError(
            f"the CustomResourceDefinitions of marie.ai are not installed on {client.url};"
            " run 'make install', or 'kubectl apply -k config/crd'"
        ) from error
    except Unauthorized as error:
        raise StartError(f"the API server at {client.url} does not accept the credentials: {error.message}") from error
    except Forbidden as error:
        raise StartError(f"{error.message}; apply config/rbac and bind it to this account") from error
    except ApiError as error:
        raise StartError(f"the API server at {client.url} cannot be used: {error}") from error


def _stop_on_signals() -> asyncio.Event:
    """An event for the first signal; the second one ends the process where it stands (M-11)."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop, where that is installed."""
    try:
        import uvloop  # noqa: PLC0415 - an optional extra
    except ImportError:
        return None
    return uvloop.new_event_loop
