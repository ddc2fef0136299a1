"""The manifest of a job's results: one line of JSON for each document that ended.

While the job runs, lines are written in parts, each an object that is written once; in the end they become one.
"""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any

from marie_operator.controllers.mariejob import refs
from marie_operator.controllers.mariejob.buckets import Bucket
from marie_operator.controllers.mariejob.delivery import MANIFESTS, Ended, Receipt, Route, Totals
from marie_operator.controllers.mariejob.objects import LISTED, Objects, ObjectsError, whole
from marie_operator.controllers.mariejob.refusal import Refusal

_DIGITS = 9


def line(document: Ended, keys: Sequence[str], route: Route, now: datetime) -> bytes:
    """What the manifest says of a document.

    Args:
        document: The document.
        keys: Its results, in the route's target.
        route: Of its job.
        now: When its end was seen.
    """
    content = {
        "document": document.uri,
        "state": document.receipt.state,
        "attempts": document.attempts,
        "started": _time(document.since),
        "ended": _time(now),
        "refId": document.ref_id,
        "dagId": document.dag_id,
        "error": document.receipt.message,
        "results": [f"{route.target.uri}/{key}" for key in keys],
    }
    told = {name: value for name, value in content.items() if value not in ("", None)}
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"


async def record(objects: Objects, route: Route, number: int, writer: str, lines: Iterable[bytes]) -> None:
    """Write a part.

    Args:
        objects: Writes it.
        route: Of the job.
        number: The part's, counted from 1.
        writer: Who writes: what another writes late, who led before, is another object.
        lines: Its lines.
    """
    await objects.write(route.target, f"{route.parts}/{number:0{_DIGITS}}-{writer}.jsonl", whole(b"".join(lines)))


async def recorded(objects: Objects, route: Route, after: int) -> tuple[dict[str, Receipt], int]:
    """The documents in the parts that come after one, by reference id, and the number of the last part."""
    known: dict[str, Receipt] = {}
    last = after
    async for key in _parts(objects, route, after):
        last = int(key.rpartition("/")[2][:_DIGITS])
        async for content in _lines(objects, route.target, key):
            document = json.loads(content)
            known[document["refId"]] = Receipt(document["state"], document.get("error", ""))
    return known, last


async def close(objects: Objects, route: Route, documents: int) -> Totals:
    """Make one object of all parts, and delete these. Doing so again changes nothing.

    Args:
        objects: Reads, writes and deletes.
        route: Of the job.
        documents: How many the job had.

    Returns:
        What the manifest lists.
    """
    count = _Count()
    if await _is_closed(objects, route):
        async for content in _lines(objects, route.target, route.manifest):
            count.add(content)
    else:
        await objects.write(route.target, route.manifest, _joined(objects, route, count, documents))
    try:
        while keys := await objects.keys(route.target, route.parts):
            await objects.delete(route.target, keys)
    except ObjectsError as error:
        # Who may write need not be allowed to delete: then the parts stay, and do no harm.
        if error.refusal is not Refusal.DENIED:
            raise
    return Totals(count.results, count.without)


class _Count:
    def __init__(self) -> None:
        self.results = self.without = 0

    def add(self, content: bytes) -> None:
        document: dict[str, Any] = json.loads(content)
        results = len(document["results"])
        self.results += results
        self.without += document["state"] == "Succeeded" and not results


async def _is_closed(objects: Objects, route: Route) -> bool:
    """Whether the manifest is there; it is made as a whole, from all parts, or not at all."""
    folder = f"{route.prefix}{MANIFESTS}"
    before = f"{route.parts}."
    return route.manifest in await objects.keys(route.target, folder, before)


async def _joined(objects: Objects, route: Route, count: _Count, documents: int) -> AsyncIterator[bytes]:
    """Every line once. Where one who led before wrote late, two parts have the same document."""
    seen = bytearray(documents + 1)
    async for key in _parts(objects, route, 0):
        kept = []
        async for content in _lines(objects, route.target, key):
            ordinal = refs.ordinal(json.loads(content)["refId"], route.job)
            if not seen[ordinal]:
                seen[ordinal] = 1
                count.add(content)
                kept.append(content)
        if kept:
            yield b"".join(kept)


async def _parts(objects: Objects, route: Route, after: int) -> AsyncIterator[str]:
    """The keys of parts, in order. A tilde comes after whatever a part of the same number is called."""
    last = f"{route.parts}/{after:0{_DIGITS}}~"
    while True:
        keys = await objects.keys(route.target, route.parts, last)
        for key in keys:
            yield key
        if len(keys) < LISTED:
            return
        last = keys[-1]


async def _lines(objects: Objects, bucket: Bucket, key: str) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in objects.read(bucket, key):
        *whole, rest = (rest + piece).split(b"\n")
        for content in whole:
            yield content + b"\n"


def _time(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at is not None else ""
