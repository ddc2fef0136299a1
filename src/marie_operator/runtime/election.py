"""Leader election on a Lease: never two that may write, and one again as soon as that is safe (1.9).

The decisions, and why they are safe, are in ``lease``; here they are carried out.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import structlog

from marie_operator.runtime.client import Client
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.decoding import WatchEvent
from marie_operator.runtime.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound, NotLeader, Unreachable
from marie_operator.runtime.lease import NEVER, Candidate, Create, Read, Terms, Update, Wait, holder_of
from marie_operator.runtime.metrics import Metrics
from marie_operator.runtime.resource import LEASES, Object, ObjectKey
from marie_operator.runtime.watchdog import Watchdog

GRACE = 1.0
"""Seconds that a process gets to end by itself once its lease has run out (W-18)."""
WATCH_SECONDS = 300.0
LEAST_WAIT = 0.001

log = structlog.get_logger(__name__)


class LeadershipLost(Exception):  # noqa: N818
    """The lease is no longer surely held; everything that writes must end."""


class Elector:
    """One candidate for a lease.

    Who waits watches the lease, so that a clean hand-over is answered at once, and a crash when the lease lapses,
    which is its duration after the last renewal was seen. Without the right to watch leases, both are answered up
    to 2.2 retry periods later.

    Everything that writes asks ``check`` first. What is on its way when the lease runs out is cancelled by
    whoever runs it, on LeadershipLost; and where the event loop stands still meanwhile, the watchdog ends the process.

    Args:
        client: For the lease alone, so that nothing else delays a renewal (L-11).
        namespace: Of the lease.
        name: Of the lease.
        identity: A name that no other candidate has.
        lease_duration: Seconds after which others may take a lease that is not renewed; whole seconds.
        renew_deadline: Seconds after which the holder itself gives up.
        retry_period: Seconds between attempts.
        clock: Measures all of it; its wall clock only fills the lease's timestamps.
        metrics: leader_election_master_status.
        jitter: Yields numbers in [0, 1).
        watchdog: Ends a process that has not ended ``GRACE`` seconds after its lease ran out; None for nothing.

    Raises:
        ValueError: the periods leave no gap between giving up and being replaced (L-01, W-17).
    """

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        lease_duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
        clock: Clock,
        metrics: Metrics,
        jitter: Callable[[], float] = random.random,
        watchdog: Watchdog | None = None,
    ) -> None:
        if not identity:
            raise ValueError("an elector needs an identity that no other candidate for the lease has")
        self._client = client
        self._key = ObjectKey(namespace, name)
        self._identity = identity
        self._terms = Terms(lease_duration, renew_deadline, retry_period)
        self._clock = clock
        self._candidate = Candidate(
            self._key, identity, self._terms, wall=lambda: _micro_time(clock.now()), jitter=jitter
        )
        self._watchdog = watchdog
        self._gauge = metrics.leader.labels(name)
        self._gauge.set(0)
        self._may_watch = True
        self._problem = ""

    @property
    def leading(self) -> bool:
        """Whether the lease is surely held at this moment."""
        return self._candidate.leads(self._clock.monotonic())

    @property
    def holder(self) -> str:
        """Who held the lease when it was last seen; empty for nobody."""
        return self._candidate.holder

    def report(self) -> dict[str, Any]:
        """Who leads, as far as is known here, for /debug."""
        left = self._candidate.valid_until - self._clock.monotonic() if self.leading else 0.0
        return {
            "lease": str(self._key),
            "identity": self._identity,
            "holder": self.holder,
            "leading": self.leading,
            "seconds_left": round(left, 3),
            "problem": self._problem,
        }

    def check(self) -> None:
        """Guard of every write: a loop that slept through its lease is refused as well.

        Raises:
            NotLeader: the lease is not surely held.
        """
        if not self.leading:
            raise NotLeader(f"lease {self._key} is not held by this process")

    async def acquire(self) -> None:
        """Return once this process leads (L-02)."""
        log.info("waiting for the lease", lease=str(self._key), identity=self._identity)
        while not self.leading:
            await self._step()
        self._gauge.set(1)
        log.info("became leader", lease=str(self._key), identity=self._identity)

    async def hold(self) -> None:
        """Renew until it fails (L-07), and end at the very moment the lease runs out; cancel to stop.

        Raises:
            LeadershipLost: the lease could not be renewed in time, or another holds it.
        """
        while self.leading:
            await self._step()
        self._gauge.set(0)
        if self.holder not in {"", self._identity}:
            raise LeadershipLost(f"lease {self._key} was taken by {self.holder}")
        why = self._problem or "the process was too slow"
        raise LeadershipLost(f"lease {self._key} was not renewed within {self._terms.deadline:g} s: {why}")

    async def release(self) -> None:
        """Hand the lease over at once, if it is still ours (L-08); everything that writes has ended before."""
        self._candidate.resign()
        self._gauge.set(0)
        if self._watchdog is not None:
            self._watchdog.disarm()
        with contextlib.suppress(ApiError, Unreachable, TimeoutError):
            async with asyncio.timeout(self._terms.deadline / 2):
                while not await self._handed_over():
                    log.debug("the lease changed while it was released", lease=str(self._key))

    def problem(self) -> str:
        """For liveness (L-10): why a leader should be restarted; empty while all is well."""
        until = self._candidate.valid_until
        if until > NEVER and self._clock.monotonic() > until + self._terms.duration:
            return f"lease {self._key} has not been renewed and this process has not ended"
        return ""

    async def _step(self) -> None:
        now = self._clock.monotonic()
        step = self._candidate.decide(now)
        if not isinstance(step, Wait):
            await self._ask(step)
        elif step.lease is None:
            await asyncio.sleep(max(step.until - now, LEAST_WAIT))
        elif self._may_watch:
            await self._watch(step.lease, step.until)
        else:
            self._candidate.unanswered(now)

    async def _ask(self, ask: Read | Create | Update) -> None:
        sent = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._candidate.patience(sent)):
                await self._send(ask, sent)
        except (ApiError, Unreachable, TimeoutError) as error:
            self._unanswered(error, sent)
        else:
            if self.leading and self._watchdog is not None:
                self._watchdog.arm(self._candidate.valid_until + GRACE - self._clock.monotonic())

    async def _send(self, ask: Read | Create | Update, sent: float) -> None:
        """Send, and tell the candidate what the server says to it."""
        try:
            match ask:
                case Read():
                    self._candidate.observed(await self._client.get(LEASES, self._key), self._clock.monotonic())
                case Create(lease):
                    created = await self._client.create(LEASES, lease)
                    self._candidate.written(created, sent=sent, now=self._clock.monotonic())
                case Update(lease):
                    updated = await self._client.update(LEASES, lease)
                    self._candidate.written(updated, sent=sent, now=self._clock.monotonic())
        except (AlreadyExists, Conflict):
            self._candidate.refused()
        except NotFound:
            if isinstance(ask, Create):
                # Not the lease is missing, but its namespace.
                raise
            self._candidate.observed(None, self._clock.monotonic())
        else:
            self._problem = ""

    async def _watch(self, lease: Object, until: float) -> None:
        """Wait, and follow the lease: each renewal that is seen makes the wait longer."""
        events = self._client.watch(
            LEASES,
            self._key.namespace,
            field_selector=f"metadata.name={self._key.name}",
            resource_version=lease["metadata"]["resourceVersion"],
            timeout=WATCH_SECONDS,
        )
        try:
            async with asyncio.timeout(until - self._clock.monotonic()) as limit, contextlib.aclosing(events):
                await self._follow(events, limit)
        except TimeoutError:
            log.info("the lease has lapsed", lease=str(self._key), holder=self.holder)
        except Forbidden as error:
            self._may_watch = False
            log.warning("cannot watch the lease, so it is read again and again", problem=str(error))
        except (ApiError, Unreachable) as error:
            self._unanswered(error, self._clock.monotonic())

    async def _follow(self, events: AsyncIterator[WatchEvent], limit: asyncio.Timeout) -> None:
        """Until there is something else to do than to wait, or the watch ends."""
        async for event in events:
            if event.type == "BOOKMARK":
                continue
            now = self._clock.monotonic()
            self._candidate.observed(None if event.type == "DELETED" else event.object, now)
            step = self._candidate.decide(now)
            if not isinstance(step, Wait) or step.lease is None:
                return
            limit.reschedule(asyncio.get_running_loop().time() + step.until - now)
        self._candidate.unanswered(self._clock.monotonic())

    def _unanswered(self, error: Exception, since: float) -> None:
        problem = str(error) or "no answer in time"
        if isinstance(error, NotFound):
            # Of the lease itself, its absence is no error: it is created.
            problem += "; create that namespace, or give another one for the lease"
        if problem != self._problem:
            log.warning("cannot reach the lease", lease=str(self._key), problem=problem)
        self._problem = problem
        self._candidate.unanswered(since)

    async def _handed_over(self) -> bool:
        """Whether the lease is ours no more; False when it changed meanwhile, as by a renewal that was cancelled."""
        lease = await self._client.get(LEASES, self._key)
        if holder_of(lease) != self._identity:
            return True
        try:
            await self._client.update(LEASES, self._candidate.released(lease))
        except Conflict:
            return False
        log.info("released the lease", lease=str(self._key))
        return True


def _micro_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
