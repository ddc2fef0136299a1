"""The complete record of a batch's failures: a ConfigMap ``<job>-failures`` that the job owns."""

import json
from collections.abc import Sequence
from typing import Any, Protocol

from marie_operator.api.mariejob import DocumentFailure, MarieJob
from marie_operator.api.meta import API_VERSION
from marie_operator.runtime.errors import NotFound
from marie_operator.runtime.resource import CONFIG_MAPS, Object, ObjectKey, Resource

_KEY = "failures.jsonl"
_OMITTED = "omitted"
_SUFFIX = "-failures"
_LONGEST_NAME = 253 - len(_SUFFIX)
# An object may hold 1 MiB; the rest is left to metadata and managed fields.
_LARGEST = 900_000
_FIELD_MANAGER = "marie-operator"


class RecordTakenError(Exception):
    """A ConfigMap of the record's name exists and is not the job's; the message says what to do."""


class ApiClient(Protocol):
    """The verbs that keeping the record needs."""

    async def get(self, resource: Resource, key: ObjectKey) -> Object:
        """Read an object."""
        ...

    async def apply(
        self, resource: Resource, obj: Object, *, field_manager: str, force: bool = False, subresource: str = ""
    ) -> Object:
        """Apply an object on the server's side."""
        ...


def name(job: str) -> str:
    """The record's name, which holds at most 253 characters."""
    return f"{job[:_LONGEST_NAME]}{_SUFFIX}"


async def record(client: ApiClient, job: MarieJob, failed: Sequence[DocumentFailure], *, total: int) -> None:
    """Add documents that failed for good to the job's record.

    Adding a document again changes nothing, so that a crash between this write and the status write is harmless.

    Args:
        client: reads and writes ConfigMaps.
        job: the job that owns the record.
        failed: the documents to add.
        total: how many have failed with these; what does not fit into the record is counted there.

    Raises:
        RecordTakenError: the ConfigMap is someone else's.
    """
    key = ObjectKey(job.metadata.namespace, name(job.metadata.name))
    try:
        live: Object | None = await client.get(CONFIG_MAPS, key)
    except NotFound:
        live = None
    lines = _kept(live, job)
    new = _new(lines, failed)
    if not new:
        return
    room = _LARGEST - sum(len(line.encode()) + 1 for line in lines)
    for line in new:
        room -= len(line.encode()) + 1
        if room < 0:
            break
        lines.append(line)
    manifest = _manifest(job, key, lines, omitted=max(0, total - len(lines)))
    if live is None or live.get("data") != manifest["data"]:
        await client.apply(CONFIG_MAPS, manifest, field_manager=_FIELD_MANAGER, force=True)


def _kept(live: Object | None, job: MarieJob) -> list[str]:
    """The lines to keep of an existing record.

    The record of a deleted job of the same name is taken over empty: it would be collected with that job anyway.
    """
    if live is None:
        return []
    owners = live["metadata"].get("ownerReferences") or ()
    owner = next((owner for owner in owners if owner.get("controller")), None)
    if owner is None or (owner["kind"], owner["name"]) != ("MarieJob", job.metadata.name):
        raise RecordTakenError(
            f"ConfigMap {name(job.metadata.name)} exists and is not this job's: failures are not recorded there. "
            "Rename or delete that ConfigMap."
        )
    if owner["uid"] != job.metadata.uid:
        return []
    record: str = (live.get("data") or {}).get(_KEY, "")
    return record.splitlines()


def _new(lines: Sequence[str], failed: Sequence[DocumentFailure]) -> list[str]:
    known = {json.loads(line)["uri"] for line in lines}
    return [
        json.dumps({"uri": failure.uri, "message": failure.message}, ensure_ascii=False)
        for failure in failed
        if failure.uri not in known
    ]


def _manifest(job: MarieJob, key: ObjectKey, lines: Sequence[str], *, omitted: int) -> dict[str, Any]:
    data = {_KEY: "".join(f"{line}\n" for line in lines)}
    if omitted:
        data[_OMITTED] = f"{omitted} more failed than fit into a ConfigMap"
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {"app.kubernetes.io/managed-by": "marie-operator", "marie.ai/job": _label(job.metadata.name)},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": job.kind,
                    "name": job.metadata.name,
                    "uid": job.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "data": data,
    }


def _label(text: str) -> str:
    """A label's value holds 63 characters."""
    return text[:63].rstrip("-.")
