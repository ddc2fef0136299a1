"""What is done to executor pods themselves: marked, deleted, and no longer waited for."""

import contextlib

from marie_operator.api.conditions import ClusterReason, EventReason
from marie_operator.controllers.mariecluster.executors import LAST_GRACE, Outlook
from marie_operator.controllers.mariecluster.news import News, Told
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.runtime import Conflict, Forbidden, NotFound, PatchKind, Writer
from marie_operator.runtime.resource import PODS, Object, ObjectKey


async def tend(outlook: Outlook, client: Writer, news: News) -> list[Refusal]:
    """Do it; a pod that is gone, or another by now, needs nothing.

    Args:
        outlook: What is to be done.
        client: Writes.
        news: Takes the events.

    Returns:
        What the operator may not do.
    """
    try:
        for patch in outlook.patches:
            with contextlib.suppress(NotFound, Conflict):
                body = {"metadata": patch.metadata}
                await client.patch(PODS, ObjectKey.of(patch.pod), body, kind=PatchKind.MERGE)
        deleted = [pod for pod in outlook.delete if await _deleted(client, pod)]
        for pod in outlook.end:
            await _deleted(client, pod, grace=LAST_GRACE)
    except Forbidden as error:
        return [Refusal(ClusterReason.PERMISSION_DENIED, f"{error.message}.")]
    if deleted:
        names = ", ".join(sorted(str(pod["metadata"]["name"]) for pod in deleted))
        news.more.append(Told("Normal", EventReason.WORKERS_DELETED, f"Deleted {names}."))
    return []


async def _deleted(client: Writer, pod: Object, *, grace: int | None = None) -> bool:
    """Whether it was there to be deleted."""
    try:
        await client.delete(PODS, ObjectKey.of(pod), uid=pod["metadata"]["uid"], grace=grace)
    except (NotFound, Conflict):
        return False
    return True
