"""Watches one gateway: how it is, and where the documents are that it was given."""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from marie_operator.marie.client import Gateway
from marie_operator.marie.dialect import Dialect
from marie_operator.marie.dispatch import Dispatch
from marie_operator.marie.metrics import GatewayMetrics, GatewayState
from marie_operator.marie.progress import Progress
from marie_operator.marie.replies import Debug
from marie_operator.marie.roster import Roster
from marie_operator.marie.ticket import ENDED, DocumentState, DocumentView, Ticket
from marie_operator.marie.transport import Unanswered
from marie_operator.marie.withdrawal import Withdrawal
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.resource import ObjectKey

FAST = 0.3
"""Seconds between two looks while a submission waits for its confirmation."""
WORKING = 1.0
"""Seconds between two looks while documents are followed."""
STARTING = 2.0
"""Seconds between two looks at a gateway whose scheduler does not run yet."""
RESTING = 5.0
"""Seconds between two looks otherwise."""
PLANNERS_AGE = 60.0
EXECUTORS_AGE = 60.0
"""Seconds for which the executors of a gateway with nothing to do are not asked for again."""
DIALECT_AGE = 60.0
"""Seconds until a gateway that did not tell which Marie it is is asked again."""
FIRST_BACKOFF = 1.0
MAX_BACKOFF = 30.0
CONCURRENCY = 8
"""Requests to one gateway at the same time."""

_STOPPED = "The gateway answers, but its scheduler does not run yet."
_PAUSED = "The gateway's scheduler is paused: it begins nothing new until somebody posts to /api/scheduler/unpause."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GatewayView:
    """What is known of a gateway.

    Attributes:
        reachable: It answers.
        running: Its scheduler takes work.
        problem: What is wrong, as a sentence; empty while nothing is.
        planners: Names of its planners; None while they are not known.
        executors: Number of workers by executor name: those that are registered, or, where the gateway probes them,
            those that answer.
        dialect: Which Marie it is; None while that is not known.
        paused: Whether its scheduler begins nothing new, by whomever it was told; None while that is not known, which
            it is not either from the moment when the operator would have it otherwise until it is looked at again.
    """

    reachable: bool = False
    running: bool = False
    problem: str = ""
    planners: frozenset[str] | None = None
    executors: Mapping[str, int] = field(default_factory=dict)
    dialect: Dialect | None = None
    paused: bool | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing is submitted for a while. Times are seconds of the clock.

    Attributes:
        since: From when.
        quiet: From when nothing was on its way to Marie's database either; None while something may be.
        paused: From when the scheduler was known to begin nothing new; None while it may.
    """

    since: float
    quiet: float | None = None
    paused: float | None = None


class Monitor:
    """One gateway's monitor.

    Args:
        gateway: What to ask.
        clock: For every wait and age.
        on_gateway: Called when the view of the gateway has changed.
        on_job: Called with a job when one of its documents has moved.
        on_work: Called when the gateway has something to do that had nothing.
        fence: Called before each submission; raises NotLeader when another process may be about to make it.
        metrics: Counts submissions and where documents come to.
        jitter: Yields numbers in [0, 1).

    Attributes:
        withdrawal: Takes back documents that are not wanted any more; runs beside the monitor.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        clock: Clock,
        on_gateway: Callable[[], None],
        on_job: Callable[[ObjectKey], None],
        on_work: Callable[[], None] = lambda: None,
        fence: Callable[[], None] = lambda: None,
        metrics: GatewayMetrics,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._on_gateway = on_gateway
        self._on_work = on_work
        self._jitter = jitter
        limit = asyncio.Semaphore(CONCURRENCY)
        self._roster = Roster(clock=clock, on_job=on_job, metrics=metrics)
        self._dispatch = Dispatch(gateway, self._roster, clock=clock, limit=limit, fence=fence, metrics=metrics)
        self.withdrawal = Withdrawal(self._roster, clock=clock, on_change=on_gateway)
        self._progress = Progress(gateway, self._roster, clock=clock, limit=limit, reasons=self.withdrawal.reasons)
        self._wake = asyncio.Event()
        self._looked_at = float("-inf")
        self._followed_at = float("-inf")
        self._planners_at = float("-inf")
        self._executors_at = float("-inf")
        self._dialect_at = float("-inf")
        self._backoff = 0.0
        self._backlog = True
        self._started: datetime | None = None
        self._paused = False
        self._view = GatewayView()
        self._asked = False
        self._idle = False
        self._hold: Hold | None = None
        self._pausing: bool | None = None

    @property
    def view(self) -> GatewayView | None:
        """What is known of the gateway; None until it was asked once."""
        return self._view if self._asked else None

    @property
    def url(self) -> str:
        """Where the gateway is reached."""
        return self._gateway.url

    def follow(self, job: ObjectKey, tickets: Sequence[Ticket], api_key: str) -> None:
        """Have exactly these documents of a job brought to Marie and to their end; others of it are forgotten."""
        if self._roster.follow(job, tickets, api_key) and self._view.running:
            self._wake.set()
        if any(ticket.cancel for ticket in tickets):
            self.withdrawal.wake()

    @property
    def hold(self) -> Hold | None:
        """Since when nothing is submitted; None while it is."""
        return self._hold

    def withhold(self, *, on: bool) -> None:
        """Submit nothing from now on, or go on; what Marie has, or may have, is followed all the same."""
        if on != (self._hold is not None):
            self._hold = Hold(self._clock.monotonic()) if on else None
            self._wake.set()

    def pause(self, *, on: bool | None) -> None:
        """Have the scheduler begin nothing new, or go on, where the gateway can be told.

        Args:
            on: Which; None for leaving it to others.
        """
        if on is not self._pausing:
            self._pausing = on
            self._view = replace(self._view, paused=None)
            self._wake.set()

    def documents(self, job: ObjectKey) -> dict[str, DocumentView]:
        """What is known of a job's documents, by reference id."""
        return self._roster.views(job)

    @property
    def idle(self) -> bool:
        """Whether the gateway said, when it was last asked, that it has nothing to do, whoever would have asked it."""
        return self._idle

    @property
    def state(self) -> GatewayState:
        """How the gateway is."""
        if self._view.running:
            return GatewayState.RUNNING
        return GatewayState.STARTING if self._view.reachable or not self._asked else GatewayState.UNREACHABLE

    def states(self) -> Iterator[DocumentState]:
        """Where every document is."""
        return (document.state for document in self._roster)

    async def run(self) -> None:
        """Watch until cancelled."""
        self._dispatch.interrupted()
        while True:
            self._wake.clear()
            await self._look()
            self._roster.tell()
            self.withdrawal.wake()
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        now = self._clock.monotonic()
        interval = RESTING if self._view.running else 0.0
        if now - self._looked_at >= interval or self._dispatch.due or self._unquiet() or self._undecided():
            self._looked_at = now
            await self._look_at_gateway()
        if not self._view.running:
            if self._paused:
                # What executors have in hand they finish.
                await self._progress.look()
            return
        await self._dispatch.search(backlog=self._backlog)
        if self._hold is None:
            await self._dispatch.submit()
        await self._dispatch.confirm(backlog=self._backlog)
        if now - self._followed_at >= WORKING:
            self._followed_at = now
            await self._progress.look()

    def _pause(self) -> float:
        """Seconds until the next look."""
        if not self._view.reachable:
            self._backoff = min(max(self._backoff * 2, FIRST_BACKOFF), MAX_BACKOFF)
            return self._backoff * (0.5 + 0.5 * self._jitter())
        self._backoff = 0.0
        if not self._view.running:
            return STARTING
        if DocumentState.SUBMITTING in self.states():
            return FAST
        return WORKING if self._works() or self._unquiet() or self._undecided() else RESTING

    def _unquiet(self) -> bool:
        """Whether nothing is submitted any more, and something may be on its way yet."""
        return self._hold is not None and self._hold.quiet is None

    def _undecided(self) -> bool:
        """Whether the scheduler is not known to be paused, or not to be, as it is meant to."""
        which = self._view.dialect
        able = which is None or which.pauses
        return self._pausing is not None and able and self._view.paused is not self._pausing

    def _works(self) -> bool:
        """Whether a document is on its way."""
        return bool(set(self.states()) - ENDED - {DocumentState.KEY_REFUSED})

    async def _look_at_gateway(self) -> None:
        try:
            debug = await self._gateway.debug()
        except Unanswered as error:
            self._idle = False
            self._dispatch.interrupted()
            self._see(GatewayView(problem=f"The gateway does not answer as it should: {error}."))
            return
        begun = self._notice(debug)
        if begun:
            # Asked a while ago: it may have begun earlier than this, and not later.
            self.withdrawal.booted(None if debug.alive is None else self._looked_at - debug.alive)
        which = await self._dialect(anew=begun)
        wanted = self._pausing
        if which is not None and which.pauses and debug.running and wanted is not None:
            debug = await self._turned(debug, wanted)
        paused = debug.paused if wanted is self._pausing else None
        self._notice_pause(debug)
        # While the operator has it paused it takes documents all the same, and begins them later.
        if debug.running and (not debug.paused or wanted):
            planners, executors = await self._planners(), await self._executors(which)
            found = GatewayView(
                reachable=True, running=True, planners=planners, executors=executors, dialect=which, paused=paused
            )
            self._see(found)
        else:
            problem = _PAUSED if debug.running else _STOPPED
            found = replace(self._view, reachable=True, running=False, problem=problem, dialect=which, paused=paused)
            self._see(found, begun=begun)

    async def _turned(self, debug: Debug, paused: bool) -> Debug:
        """The debug page, after the scheduler was told to pause or to go on, unless it does already."""
        if debug.paused is paused:
            return debug
        try:
            await self._gateway.pause(on=paused)
        except Unanswered as error:
            log.warning("the scheduler is not paused or unpaused", url=self.url, paused=paused, problem=str(error))
            return debug
        log.info("the scheduler is paused" if paused else "the scheduler goes on", url=self.url)
        return replace(debug, paused=paused)

    def _notice_pause(self, debug: Debug) -> None:
        self._paused = debug.running and debug.paused
        if self._hold is not None:
            since = self._hold.paused or self._clock.monotonic()
            self._hold = replace(self._hold, paused=since if self._paused else None)

    def _notice(self, debug: Debug) -> bool:
        """What a debug page means for documents in doubt; tells whether it is of a process that was not seen before."""
        again = self._started is not None
        begun, self._started = debug.started != self._started, debug.started
        if begun or not debug.running:
            self._dispatch.interrupted()
        if begun and again:
            for document in self._roster:
                document.restarted(self._clock.monotonic())
        self._backlog = debug.pending > 0
        began_work = self._idle and not debug.idle
        self._idle = debug.idle
        if began_work:
            self._on_work()
        if self._hold is not None and not self._backlog and DocumentState.SUBMITTING not in self.states():
            self._hold = replace(self._hold, quiet=self._hold.quiet or self._clock.monotonic())
        return begun

    def _see(self, view: GatewayView, *, begun: bool = False) -> None:
        if view == self._view and self._asked:
            return
        if view.problem and view.problem != self._view.problem:
            # A scheduler that has yet to start is no trouble, be it after another; one that has stopped is.
            stopped = self._view.running and not begun
            tell = log.warning if stopped or not view.reachable else log.info
            tell("gateway does not take work", url=self.url, problem=view.problem)
        if view.running and not self._view.running:
            log.info("gateway takes work", url=self.url)
        self._view, self._asked = view, True
        self._on_gateway()

    async def _dialect(self, *, anew: bool) -> Dialect | None:
        """Which Marie it is: asked once of each process, and again while it does not tell."""
        known = None if anew else self._view.dialect
        if known is not None or (not anew and self._clock.monotonic() - self._dialect_at < DIALECT_AGE):
            return known
        self._dialect_at = self._clock.monotonic()
        try:
            return await self._gateway.dialect()
        except Unanswered as error:
            log.debug("the version is not told", url=self.url, problem=str(error))
            return None

    async def _planners(self) -> frozenset[str] | None:
        """The planners, asked for now and then; those known before while it does not tell."""
        now = self._clock.monotonic()
        if self._view.planners is None or now - self._planners_at >= PLANNERS_AGE:
            try:
                planners = await self._gateway.planners()
            except Unanswered as error:
                log.debug("planners are not told", url=self.url, problem=str(error))
            else:
                self._planners_at = now
                return planners
        return self._view.planners

    async def _executors(self, which: Dialect | None) -> Mapping[str, int]:
        """Number of workers, for the documents on their way; as known before while the gateway does not tell."""
        now = self._clock.monotonic()
        if self._view.executors and not self._works() and now - self._executors_at < EXECUTORS_AGE:
            return self._view.executors
        try:
            if which is not None and which.readiness:
                found = (await self._gateway.readiness()).ready
            else:
                found = await self._gateway.worker_addresses()
        except Unanswered as error:
            log.debug("executors are not told", url=self.url, problem=str(error))
            return self._view.executors
        self._executors_at = now
        return {name: len(addresses) for name, addresses in found.items()}
