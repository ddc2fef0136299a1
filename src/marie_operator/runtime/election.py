"""Leader election on a Lease: never two that may write, and no clock compared with another's (1.9).

A holder believes in its lease until ``renew_deadline`` after it *sent* the last renewal that
succeeded. Others take the lease no earlier than ``lease_duration`` after they *saw* it change,
which is later than it was sent. With the duration longer than the deadline there is a gap in
which nobody leads, and never an overlap.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import datetime

import structlog

from marie_operator.runtime.client import Client
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import AlreadyExists, ApiError, Conflict, NotFound, NotLeader, Unreachable
from marie_operator.runtime.metrics import Metrics
from marie_operator.runtime.resource import LEASES, Object, ObjectKey

log = structlog.get_logger(__name__)


class LeadershipLost(Exception):  # noqa: N818
    """The lease is no longer surely held; everything that writes must end."""


class Elector:
    """One candidate for a lease.

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
    ) -> None:
        if not (identity and lease_duration >= 1 and retry_period > 0):
            raise ValueError("an elector needs an identity, a lease of at least 1 s and a retry period")
        if lease_duration < renew_deadline + retry_period or renew_deadline < 2 * retry_period:
            raise ValueError(
                f"lease duration {lease_duration:g} s must be at least renew deadline {renew_deadline:g} s plus"
                f" retry period {retry_period:g} s, and the deadline at least twice the retry period"
            )
        self._client = client
        self._key = ObjectKey(namespace, name)
        self._identity = identity
        self._duration = lease_duration
        self._deadline = renew_deadline
        self._period = retry_period
        self._clock = clock
        self._jitter = jitter
        self._gauge = metrics.leader.labels(name)
        self._gauge.set(0)
        self._lease: Object | None = None
        self._seen_at = 0.0
        self._valid_until = float("-inf")
        self._problem = ""

    @property
    def leading(self) -> bool:
        """Whether the lease is surely held at this moment."""
        return self._clock.monotonic() < self._valid_until

    @property
    def holder(self) -> str:
        """Who held the lease when it was last seen; empty for nobody."""
        return _holder(self._lease) if self._lease else ""

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
        while True:
            if await self._attempt():
                break
            await asyncio.sleep(self._period * (1 + 1.2 * self._jitter()))
        self._gauge.set(1)
        log.info("became leader", lease=str(self._key), identity=self._identity)

    async def hold(self) -> None:
        """Renew until it fails (L-07); cancel to stop.

        Raises:
            LeadershipLost: the lease could not be renewed in time, or another holds it.
        """
        while not (problem := await self._renewal()):
            pass
        self._resign()
        raise LeadershipLost(f"lease {self._key} {problem}")

    async def _renewal(self) -> str:
        """Wait, renew, and say why this process leads no longer; empty while it does."""
        await asyncio.sleep(self._period)
        if not await self._attempt() and self.holder not in {"", self._identity}:
            return f"was taken by {self.holder}"
        if not self.leading:
            return f"was not renewed within {self._deadline:g} s: {self._problem or 'the process was too slow'}"
        return ""

    async def release(self) -> None:
        """Hand the lease over at once, if it is still ours (L-08); everything that writes has ended before."""
        self._resign()
        with contextlib.suppress(ApiError, Unreachable, TimeoutError):
            async with asyncio.timeout(self._deadline / 2):
                lease = await self._client.get(LEASES, self._key)
                if _holder(lease) == self._identity:
                    spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._now()}
                    await self._client.update(LEASES, {**lease, "spec": spec})
                    log.info("released the lease", lease=str(self._key))

    def problem(self) -> str:
        """For liveness (L-10): why a leader should be restarted; empty while all is well."""
        if self._valid_until > float("-inf") and self._clock.monotonic() > self._valid_until + self._duration:
            return f"lease {self._key} has not been renewed and this process has not ended"
        return ""

    def _resign(self) -> None:
        self._valid_until = float("-inf")
        self._gauge.set(0)

    async def _attempt(self) -> bool:
        """One try to take or renew the lease; counts from before it was sent."""
        sent = self._clock.monotonic()
        try:
            async with asyncio.timeout(max(1.0, self._deadline / 2)):
                held = await self._renew_or_take()
        except (ApiError, Unreachable, TimeoutError) as error:
            problem = str(error) or "no answer in time"
            if problem != self._problem:
                log.warning("cannot reach the lease", lease=str(self._key), problem=problem)
            self._problem = problem
            return False
        self._problem = ""
        if held:
            self._valid_until = sent + self._deadline
        return held

    async def _renew_or_take(self) -> bool:
        if self.leading and self._lease is not None:
            # The holder knows the lease's state: no read before the write (L-06).
            with contextlib.suppress(Conflict, NotFound):
                self._observe(await self._client.update(LEASES, self._renewed(self._lease)))
                return True
        try:
            lease = await self._client.get(LEASES, self._key)
        except NotFound:
            return await self._create()
        self._observe(lease)
        if _holder(lease) not in {"", self._identity} and not self._lapsed(lease):
            return False
        try:
            self._observe(await self._client.update(LEASES, self._renewed(lease)))
        except Conflict:
            return False
        return True

    async def _create(self) -> bool:
        lease = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"namespace": self._key.namespace, "name": self._key.name},
        }
        try:
            self._observe(await self._client.create(LEASES, self._renewed(lease)))
        except AlreadyExists:
            return False
        return True

    def _observe(self, lease: Object) -> None:
        """Remember a lease and when it was first seen like this (L-03)."""
        known = self._lease
        if known is None or known["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
            self._lease, self._seen_at = lease, self._clock.monotonic()

    def _lapsed(self, lease: Object) -> bool:
        duration = lease.get("spec", {}).get("leaseDurationSeconds") or self._duration
        return self._clock.monotonic() > self._seen_at + float(duration)

    def _renewed(self, lease: Object) -> Object:
        old, now = lease.get("spec", {}), self._now()
        same = old.get("holderIdentity") == self._identity
        spec = {
            **old,
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._duration),
            "renewTime": now,
            "acquireTime": old["acquireTime"] if same and "acquireTime" in old else now,
            "leaseTransitions": int(old.get("leaseTransitions", -1)) + (0 if same else 1),
        }
        return {**lease, "spec": spec}

    def _now(self) -> str:
        return _micro_time(self._clock.now())


def _holder(lease: Object) -> str:
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def _micro_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
