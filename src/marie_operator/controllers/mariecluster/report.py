"""The end of a look at a cluster: what its status says, what is told of that, and when to look again."""

from collections.abc import Iterator
from datetime import datetime

from marie_operator.api.conditions import ClusterCondition, ClusterReason, EventReason
from marie_operator.api.mariecluster import MarieClusterStatus
from marie_operator.api.meta import Condition
from marie_operator.builders import chain
from marie_operator.controllers import kinds
from marie_operator.controllers.conditions import condition
from marie_operator.controllers.mariecluster import status
from marie_operator.controllers.mariecluster.news import News, Told
from marie_operator.controllers.mariecluster.status import Observation
from marie_operator.runtime import Result, Unparsable, Writer, with_condition
from marie_operator.runtime.resource import Object
from marie_operator.runtime.status import write_status

RECHECK = 15.0
"""Seconds after which a cluster that lacks something is looked at again: no event tells that it has come."""

REREAD = 60.0
"""Seconds after which the Secrets and ConfigMaps of a cluster are looked at again: no event tells of a change."""

LOOK = 2.0
"""Seconds after which a group that is on its way to fewer pods is looked at again, whether or not there is news."""


async def write(client: Writer, live: Object | None, seen: Observation, news: News, *, rereads: bool) -> Result:
    """Write the status when it says something new, and note the turns of the cluster's life.

    Args:
        client: Writes.
        live: The cluster as the API server has it; None once it is gone.
        seen: What the status is of.
        news: What was done; takes what is told.
        rereads: Whether the cluster depends on objects whose changes no event tells of.
    """
    old, new = seen.cluster.status, status.of(seen)
    due, wait = status.due(new, old, seen.now)
    if due is not None and live is not None:
        content = due.model_dump(mode="json", by_alias=True, exclude_none=True)
        await write_status(client, kinds.MARIE_CLUSTERS, live, content)
        news.turn = _turn(old, due)
        news.more += _waits(old, due, seen)
        if old.observed_generation != due.observed_generation:
            news.advice = chain.warnings(seen.cluster)
    waits = [] if wait is None else [wait.total_seconds()]
    if wait is None and seen.problems:
        waits.append(RECHECK)
    if wait is None and (again := status.again(seen, due or old)) is not None:
        waits.append(again.total_seconds())
    if rereads:
        waits.append(REREAD)
    if seen.route is not None:
        waits.append(seen.route.again)
    if any(view.waits or view.leaves for view in seen.groups.values()) or seen.upgrade.held or seen.pause.reason:
        waits.append(LOOK)
    # What the children became was seen before the status was told, and nothing here depends on what is told.
    return Result(requeue_after=min(waits, default=None), changes=tuple(map(str, news.done)), conclusive=True)


async def unreadable(client: Writer, cluster: Unparsable, now: datetime) -> Result:
    """Say on the object what keeps it from being read; its children stay as they are."""
    live = cluster.object
    before = live.get("status") or {}
    conditions = with_condition(
        before.get("conditions") or (),
        type=ClusterCondition.READY,
        status="False",
        reason=ClusterReason.UNREADABLE,
        message=cluster.error,
        generation=live["metadata"].get("generation", 0),
        now=now,
    )
    await write_status(client, kinds.MARIE_CLUSTERS, live, {**before, "conditions": conditions})
    return Result()


def _waits(old: MarieClusterStatus, new: MarieClusterStatus, seen: Observation) -> Iterator[Told]:
    """Groups that have begun to wait for pods at work, changes that have for documents, and routes to nowhere."""
    if seen.upgrade.message and status.is_pending(new) and not status.is_pending(old):
        yield Told("Normal", EventReason.UPGRADE_WAITS, seen.upgrade.message)
    if (verdict := status.new_trouble_of_route(old, seen)) is not None:
        yield Told("Warning", verdict.reason, verdict.message)
    for name, view in seen.groups.items():
        before = old.executor_group_statuses.get(name)
        # What else a message tells, such as that the size is clamped, does not stand for it.
        if view.waits and (before is None or not chain.unclamped(before.message)):
            yield Told("Normal", EventReason.SCALE_DOWN_WAITS, f"Group {name}: {view.waits}")


def _turn(old: MarieClusterStatus, new: MarieClusterStatus) -> Condition | None:
    """The Ready condition, if it says something else than before."""
    before, after = (condition(each, ClusterCondition.READY) for each in (old, new))
    if before is not None and after is not None and (before.status, before.reason) == (after.status, after.reason):
        return None
    return after
