"""Making and ending pods, as all controllers of pods do."""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marie_operator.testing.api import ApiStatus, ApiUnreachable
from marie_operator.testing.workloads.cache import Cluster
from marie_operator.testing.workloads.controller import is_terminating
from marie_operator.testing.workloads.objects import PODS, Object, owners_of, uid_of

# Kubernetes leaves out vowels and digits that look like them, so that no name is a word.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Any, collisions: int = 0) -> str:
    """The same for the same template, whatever the order of its fields."""
    text = json.dumps([template, collisions], sort_keys=True).encode()
    number = int.from_bytes(hashlib.sha256(text).digest()[:6])
    digits = []
    for _ in range(10):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def from_template(template: Object, *, named: Mapping[str, str], owner: Object) -> Object:
    """A pod of a template, to be created.

    Args:
        template: What it is like.
        named: ``namespace``, and ``name`` or ``generateName``.
        owner: The reference to whom it belongs to.
    """
    given = template.get("metadata") or {}
    metadata: Object = {each: dict(given[each]) for each in ("labels", "annotations") if given.get(each)}
    if given.get("finalizers"):
        metadata["finalizers"] = list(given["finalizers"])
    return {
        "metadata": {**metadata, **named, "ownerReferences": [owner]},
        "spec": template["spec"],
    }


async def create_all(cluster: Cluster, bodies: Sequence[Object]) -> str:
    """Create pods: one, and when that works two, then four, so that a refusal is not asked for a hundred times.

    Returns:
        Why a pod was refused, such as by a quota; empty when all were made.
    """
    start, size = 0, 1
    while start < len(bodies):
        batch = bodies[start : start + size]
        results = await asyncio.gather(*(cluster.create(PODS, each) for each in batch), return_exceptions=True)
        for result in results:
            if isinstance(result, ApiStatus) and result.code in {400, 403, 422} and not is_terminating(result):
                return message_of(result)
            if isinstance(result, BaseException):
                raise result
        start, size = start + len(batch), size * 2
    return ""


async def delete_all(cluster: Cluster, pods: Iterable[Object]) -> None:
    """Delete pods."""
    results = await asyncio.gather(*(cluster.delete(PODS, each) for each in pods), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def release(cluster: Cluster, pod: Object, owner_uid: str) -> None:
    """Take an owner from a pod."""
    owners = [each for each in owners_of(pod) if each["uid"] != owner_uid]
    await cluster.patch(PODS, pod, {"metadata": {"ownerReferences": owners or None}})


async def adopt(cluster: Cluster, pod: Object, owner: dict[str, Any]) -> None:
    """Give a pod an owner that manages it."""
    await cluster.patch(PODS, pod, {"metadata": {"ownerReferences": [*owners_of(pod), owner]}})


async def confirmed(cluster: Cluster, path: str, found: Object) -> bool:
    """Whether the API server itself, not just a cache, says that an object is there and not about to end."""
    try:
        current = await cluster.api.get(path)
    except ApiStatus as error:
        if error.code == 404:
            return False
        raise
    return uid_of(current) == uid_of(found) and "deletionTimestamp" not in current["metadata"]


def message_of(error: ApiStatus | ApiUnreachable) -> str:
    """The server's own words."""
    if isinstance(error, ApiStatus) and isinstance(error.body, dict):
        return str(error.body.get("message", error))
    return str(error)
