"""The complete record of a batch's failures: ConfigMaps ``<job>-failures``, ``<job>-failures-2`` ... that the job owns.

A part is begun when the one before is full, and what is full is not written again.
"""

import json
from collections.abc import Sequence
from typing import Any, Protocol

from marie_operator.api.mariejob import DocumentFailure, MarieJob
from marie_operator.builders import association
from marie_operator.runtime.errors import NotFound
from marie_operator.runtime.ownership import controller_of, controller_uid
from marie_operator.runtime.resource import CONFIG_MAPS, Object, ObjectKey, Resource

KEY = "failures.jsonl"
"""Under which a ConfigMap has them, one a line."""
_LONGEST_NAME = 253
# An object may hold 1 MiB. The last part is written again with each failure, so it stays well below.
_LARGEST = 400_000


class RecordTakenError(Exception):
    """A ConfigMap of the record's name exists and is not the job's; the message says what to do."""


class RecordGoneError(Exception):
    """A part of the record is not there, is another job's, or cannot be read; the message says which."""


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


def name(job: str, part: int = 1) -> str:
    """The name of a part of a job's record, counted from 1; it holds at most 253 characters."""
    suffix = "-failures" if part == 1 else f"-failures-{part}"
    return f"{job[: _LONGEST_NAME - len(suffix)]}{suffix}"


async def record(client: ApiClient, job: MarieJob, failed: Sequence[DocumentFailure]) -> int:
    """Add documents that failed for good to the job's record.

    Adding a document again changes nothing, so that a crash between this write and the status write is harmless.

    Args:
        client: reads and writes ConfigMaps.
        job: the job that owns the record, with how many parts its status knows of.
        failed: the documents to add.

    Returns:
        How many parts the record has now.

    Raises:
        RecordTakenError: the ConfigMap is someone else's.
    """
    part = max(1, job.status.documents.failure_parts if job.status.documents else 0)
    lines = await _read(client, job, part) or []
    known = _uris(lines)
    # Parts that were begun before a crash which kept the status from telling.
    while lines and (more := await _read(client, job, part + 1)) is not None:
        part, lines = part + 1, more
        known |= _uris(more)
    room, changed = _LARGEST - sum(map(_size, lines)), False
    for failure in failed:
        if failure.uri in known:
            continue
        line = json.dumps({"uri": failure.uri, "message": failure.message}, ensure_ascii=False)
        if lines and _size(line) > room:
            if changed:
                await _write(client, job, part, lines)
            part, lines, room = part + 1, [], _LARGEST
        lines.append(line)
        known.add(failure.uri)
        room, changed = room - _size(line), True
    if changed:
        await _write(client, job, part, lines)
    return part


async def recorded(client: ApiClient, namespace: str, job: str, uid: str, part: int) -> list[str]:
    """The documents in a part of a job's record, in the order in which they failed.

    Args:
        client: reads ConfigMaps.
        namespace: the job's.
        job: its name.
        uid: its ``metadata.uid``.
        part: which part, from 1.

    Raises:
        RecordGoneError: the part is not there, or a line of it cannot be read.
    """
    try:
        live: Object | None = await client.get(CONFIG_MAPS, ObjectKey(namespace, name(job, part)))
    except NotFound:
        live = None
    if live is None or controller_uid(live) != uid:
        raise RecordGoneError(
            f"ConfigMap {name(job, part)}, which held failures of MarieJob {job}, is gone: these documents are not "
            "known any more. Delete this job, and make one that names them by spec.input.uri."
        )
    lines = _lines(live)
    uris = [uri for line in lines if (uri := _uri(line)) is not None]
    if len(uris) < len(lines):
        number = next(number for number, line in enumerate(lines, start=1) if _uri(line) is None)
        raise RecordGoneError(
            f"Line {number} of {KEY} in ConfigMap {name(job, part)}, which holds failures of MarieJob {job}, is not "
            'what the operator wrote: each is a JSON object with the "uri" of a document. Correct or remove it; the '
            "job then goes on by itself."
        )
    return uris


async def _read(client: ApiClient, job: MarieJob, part: int) -> list[str] | None:
    """The lines of a part; ``None`` when there is none.

    A part of a deleted job of the same name counts as none: it would be collected with that job anyway.
    """
    key = ObjectKey(job.metadata.namespace, name(job.metadata.name, part))
    try:
        live = await client.get(CONFIG_MAPS, key)
    except NotFound:
        return None
    owner = controller_of(live)
    if owner is None or (owner["kind"], owner["name"]) != ("MarieJob", job.metadata.name):
        raise RecordTakenError(
            f"ConfigMap {key.name} exists and is not this job's: failures are not recorded there. "
            "Rename or delete that ConfigMap."
        )
    return _lines(live) if owner["uid"] == job.metadata.uid else None


async def _write(client: ApiClient, job: MarieJob, part: int, lines: Sequence[str]) -> None:
    key = ObjectKey(job.metadata.namespace, name(job.metadata.name, part))
    await client.apply(CONFIG_MAPS, _manifest(job, key, lines), field_manager=association.FIELD_MANAGER, force=True)


def _lines(live: Object) -> list[str]:
    record: str = (live.get("data") or {}).get(KEY, "")
    return record.removesuffix("\n").split("\n") if record else []


def _uris(lines: Sequence[str]) -> set[str]:
    return {uri for line in lines if (uri := _uri(line)) is not None}


def _uri(line: str) -> str | None:
    """The document of a line; None for a line that the operator did not write."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    uri = found.get("uri") if isinstance(found, dict) else None
    return uri if isinstance(uri, str) and uri.count("/") > 2 else None


def _size(line: str) -> int:
    """Bytes of a line, as the JSON of the API server holds it."""
    return len(json.dumps(line)) + 1


def _manifest(job: MarieJob, key: ObjectKey, lines: Sequence[str]) -> dict[str, Any]:
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": association.of_job(job, key.name),
        "data": {KEY: "".join(f"{line}\n" for line in lines)},
    }
