"""What is done to pods themselves: marked, deleted, and no longer waited for."""

import contextlib
from collections.abc import Sequence

from marie_operator.api.conditions import EventReason
from marie_operator.controllers.mariecluster import refusals
from marie_operator.controllers.mariecluster.executors import LAST_GRACE, Outlook
from marie_operator.controllers.mariecluster.news import News, Told
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.runtime import Conflict, NotFound, PatchKind, Writer
from marie_operator.runtime.resource import PODS, Object, ObjectKey


async def tend(outlook: Outlook, client: Writer, news: News, *, stranded: Sequence[Object] = ()) -> list[Refusal]:
    """Do it; a pod that is gone, or another by now, needs nothing.

    Args:
        outlook: What is to be done to executors.
        client: Writes.
        news: Takes the events.
        stranded: Pods of managed services that are to be made anew.

    Returns:
        What the API server refuses.
    """
    deleted: set[str] = set()
    pod: Object = {}
    try:
        for patch in outlook.patches:
            pod = patch.pod
            with contextlib.suppress(NotFound, Conflict):
                body = {"metadata": patch.metadata}
                await client.patch(PODS, ObjectKey.of(pod), body, kind=PatchKind.MERGE)
        for pod in outlook.delete:
            if await _deleted(client, pod):
                deleted.add(pod["metadata"]["name"])
        for pod in outlook.end:
            await _deleted(client, pod, grace=LAST_GRACE)
        for pod in stranded:
            if await _deleted(client, pod):
                what = f"Deleted Pod {pod['metadata']['name']}, which cannot start and is of an earlier template."
                news.more.append(Told("Normal", EventReason.DELETED, what))
    except refusals.DENIED as error:
        return [refusals.worded(f"{PODS.kind} {pod['metadata']['name']}", error)]
    finally:
        if deleted:
            news.more.append(Told("Normal", EventReason.WORKERS_DELETED, f"Deleted {', '.join(sorted(deleted))}."))
    return []


async def _deleted(client: Writer, pod: Object, *, grace: int | None = None) -> bool:
    """Whether it was there to be deleted."""
    try:
        await client.delete(PODS, ObjectKey.of(pod), uid=pod["metadata"]["uid"], grace=grace)
    except (NotFound, Conflict):
        return False
    return True
