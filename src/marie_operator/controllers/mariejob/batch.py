"""The documents of a job: pure functions on ``status.documents``.

Invariants, at every step: the number in flight never exceeds the bound; a document listed is in flight, succeeded
or failed, in exactly one of them; counts never decrease; the cursor moves in the same value as what it passed.
"""

import json
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from sys import maxsize

from marie_operator.api.mariejob import DocumentFailure, DocumentInFlight, JobDocuments, MarieJob
from marie_operator.controllers.mariejob import refs
from marie_operator.controllers.mariejob.delivery import DeliveryOutcome, DocumentEnd, Receipt
from marie_operator.controllers.mariejob.plan import Plan
from marie_operator.controllers.mariejob.source import SingleDocument
from marie_operator.controllers.mariejob.store import Page
from marie_operator.marie.gateways import DocumentState, DocumentView

SHOWN_FAILURES = 20
"""Failures listed in status; all of them are in the ConfigMap ``<job>-failures``."""

LARGEST_IN_FLIGHT = 700_000
"""Bytes that the documents in flight take in status at most; an object that etcd stores may have 1.5 MiB."""

LONGEST_MESSAGE = 512
"""Characters kept of a document's failure."""

_ENTRY = 340
"""Bytes of an entry in flight besides the document's URI: its reference id, DAG, times and names."""

_FIRST_DELAY = timedelta(seconds=10)
_LAST_DELAY = timedelta(minutes=6)


@dataclass(frozen=True, slots=True)
class Settled:
    """Documents after what Marie said of them was taken in.

    Attributes:
        documents: what remains, with the counts moved.
        retried: the new entries of documents that failed and will be submitted again, with why they failed.
        failed: documents that failed for good.
        cancelled: how many of those were cancelled in Marie.
        refused: how many of those Marie would not take.
        ended: documents whose end is to be told where results go, with how they ended, whether or not they leave now.
    """

    documents: JobDocuments
    retried: Sequence[tuple[DocumentInFlight, str]] = field(default=())
    failed: Sequence[DocumentFailure] = field(default=())
    cancelled: int = 0
    refused: int = 0
    ended: Sequence[tuple[DocumentInFlight, Receipt]] = field(default=())


def settle(
    job: MarieJob, views: Mapping[str, DocumentView], now: datetime, delivery: DeliveryOutcome | None = None
) -> Settled:
    """Move each document to where Marie says it is.

    A document that failed or was refused gets a new entry with the next attempt, to be submitted after
    10 s * 2^attempt (at most 6 minutes), as long as ``spec.backoffLimit`` allows one. A document that the operator
    took back gets one as well, which waits until the job goes on.

    Args:
        job: the job.
        views: what Marie says of its documents, by reference id.
        now: the wall clock.
        delivery: how far its results are on their way; a document stays in flight until it is delivered. ``None``
            where results stay where they are.
    """
    documents = job.status.documents or JobDocuments()
    in_flight: list[DocumentInFlight] = []
    retried: list[tuple[DocumentInFlight, str]] = []
    ended: list[tuple[DocumentInFlight, Receipt]] = []
    ends: list[tuple[DocumentInFlight, Receipt]] = []
    for entry in documents.in_flight:
        view = views.get(entry.ref_id) if entry.not_before is None else None
        document = _known(entry, view)
        receipt = delivery.delivered.get(entry.ref_id) if delivery is not None else None
        end = receipt or _end(view)
        if end is None:
            in_flight.append(document)
        elif receipt is None and end.state == "Cancelled" and document.cancelling:
            in_flight.append(_again(job, document, not_before=now, interrupted=1))
        elif receipt is None and end.state in {"Failed", "Refused"} and _failures(document) < job.spec.backoff_limit:
            delay = min(_LAST_DELAY, _FIRST_DELAY * 2 ** min(_failures(document), 10))
            retried.append((_again(job, document, not_before=now + delay), end.message))
            in_flight.append(retried[-1][0])
        else:
            ended.append((document, end))
            if delivery is not None and receipt is None:
                in_flight.append(document)
            else:
                ends.append((document, end))
    failed = [_failure(document, end.message) for document, end in ends if end.state != "Succeeded"]
    changes = {
        "in_flight": tuple(in_flight),
        "succeeded": documents.succeeded + len(ends) - len(failed),
        "failed": documents.failed + len(failed),
        "failures": (*documents.failures, *failed)[:SHOWN_FAILURES],
    }
    if delivery is not None and ends:
        changes["manifest_parts"] = delivery.parts
    return Settled(
        documents.model_copy(update=changes),
        retried,
        failed,
        cancelled=sum(end.state == "Cancelled" for _, end in ends),
        refused=sum(end.state == "Refused" for _, end in ends),
        ended=ended if delivery is not None else (),
    )


def _end(view: DocumentView | None) -> Receipt | None:
    """How a document ended, if it has."""
    match view.state if view is not None else None:
        case DocumentState.SUCCEEDED:
            return Receipt("Succeeded")
        case DocumentState.CANCELLED:
            state: DocumentEnd = "Cancelled"
        case DocumentState.FAILED:
            state = "Failed"
        case DocumentState.REFUSED:
            state = "Refused"
        case _:
            return None
    return Receipt(state, _bounded(view.message) if view is not None else "")


def _known(document: DocumentInFlight, view: DocumentView | None) -> DocumentInFlight:
    """A document in flight, with its DAG once that is known."""
    dag_id = view.dag_id if view is not None else ""
    known = not dag_id or dag_id == document.dag_id
    return document if known else document.model_copy(update={"dag_id": dag_id})


def release(documents: JobDocuments, now: datetime) -> JobDocuments:
    """Let documents go whose delay before another attempt is over."""
    return documents.model_copy(
        update={
            "in_flight": tuple(
                document.model_copy(update={"not_before": None})
                if document.not_before is not None and document.not_before <= now
                else document
                for document in documents.in_flight
            )
        }
    )


def take_back(documents: JobDocuments, ref_ids: Collection[str]) -> JobDocuments:
    """Note which documents are to be cancelled in Marie's database: it is not asked before that is written down."""
    return documents.model_copy(
        update={
            "in_flight": tuple(
                document.model_copy(update={"cancelling": True})
                if document.ref_id in ref_ids and document.dag_id
                else document
                for document in documents.in_flight
            )
        }
    )


def taken_back(documents: JobDocuments) -> int:
    """How many documents were cancelled in Marie's database and wait for the job to go on."""
    return sum(bool(document.interrupted and document.not_before) for document in documents.in_flight)


def admit(
    job: MarieJob, plan: Plan, documents: JobDocuments, page: Page | None, *, room: int, now: datetime
) -> JobDocuments:
    """Put as many new documents in flight as ``spec.batch.maxInFlight`` and the other jobs leave room for.

    The cursor moves over them, and over what the job's filters leave out.

    Args:
        job: the job.
        plan: its spec, read.
        documents: what there is.
        page: keys to take documents from, which may be outdated: what lies before the cursor is passed over.
        room: how many the cluster has room for.
        now: the wall clock.
    """
    source, since = plan.source, now if plan.output is not None else None
    if isinstance(source, SingleDocument):
        if documents.listed or room < 1:
            return documents
        return _admitted(job, documents, [(source.key, source.uri)], total=1, since=since)
    if page is None or is_listed(documents):
        return documents
    most = _most(job, documents)
    room = min(room, most, job.spec.batch.max_in_flight - len(documents.in_flight))
    space = LARGEST_IN_FLIGHT - sum(_size(document.uri) for document in documents.in_flight)
    taken: list[tuple[str, str]] = []
    cursor, filtered = documents.cursor, documents.filtered
    ahead = page.keys[bisect_right(page.keys, cursor) :]
    for index, key in enumerate(ahead):
        if not plan.selection.takes(source, key):
            filtered += 1
        elif len(taken) < room and (space := space - _size(source.document(key))) >= 0:
            taken.append((key, source.document(key)))
        else:
            rest = ahead[index:]
            break
        cursor = key
    else:
        rest, cursor = (), max(cursor, page.end)
    passed = documents.model_copy(update={"cursor": cursor, "filtered": filtered})
    total = _total(plan, documents.listed + len(taken), rest, page, most - len(taken))
    return _admitted(job, passed, taken, total=total, since=since)


def _most(job: MarieJob, documents: JobDocuments) -> int:
    """How many more documents the job may take before ``spec.batch.maxDocuments`` is reached."""
    most = job.spec.batch.max_documents
    return maxsize if most is None else max(0, most - documents.listed)


def _total(plan: Plan, listed: int, rest: Sequence[str], page: Page, most: int) -> int | None:
    """How many documents the job has, once that is known.

    Args:
        plan: the job's spec, read.
        listed: how many it has taken.
        rest: the keys of the page that it has not passed.
        page: the page.
        most: how many more it may take.
    """
    if most == maxsize and not page.last:
        return None
    left = min(most, sum(plan.selection.takes(plan.source, key) for key in rest))
    return listed + left if page.last or left == most else None


def tolerated(job: MarieJob, documents: JobDocuments) -> int | None:
    """How many documents may fail by ``spec.batch.maxFailed``; ``None`` for any number, or while it is not known.

    A share is rounded down, and known once the prefix is listed to its end.
    """
    match job.spec.batch.max_failed:
        case int(number):
            return number
        case str(share):
            return None if documents.total is None else documents.total * int(share.removesuffix("%")) // 100
        case None:
            return None


def is_exceeded(job: MarieJob, plan: Plan, documents: JobDocuments) -> bool:
    """Whether more documents of a batch have failed than may."""
    most = None if isinstance(plan.source, SingleDocument) else tolerated(job, documents)
    return most is not None and documents.failed > most


def is_listed(documents: JobDocuments) -> bool:
    """Whether every document of the job has been in flight."""
    return documents.total is not None and documents.listed >= documents.total


def is_begun(documents: JobDocuments) -> bool:
    """Whether a document of the job has been in flight."""
    return documents.listed > 0


def is_done(documents: JobDocuments) -> bool:
    """Whether every document of the job has come to its end."""
    return is_listed(documents) and not documents.in_flight


def _admitted(
    job: MarieJob,
    documents: JobDocuments,
    new: Sequence[tuple[str, str]],
    *,
    total: int | None,
    since: datetime | None,
) -> JobDocuments:
    entries = tuple(
        DocumentInFlight(uri=uri, ref_id=_ref_id(job, key, ordinal=documents.listed + index, attempt=0), since=since)
        for index, (key, uri) in enumerate(new, start=1)
    )
    return documents.model_copy(
        update={
            "total": total,
            "listed": documents.listed + len(entries),
            "in_flight": (*documents.in_flight, *entries),
        }
    )


def _size(uri: str) -> int:
    """Bytes of an entry in flight at most, with its ids, as the API server's JSON escapes it."""
    return _ENTRY + len(json.dumps(uri)) + 5 * sum(uri.count(character) for character in "<>&")


def _failures(document: DocumentInFlight) -> int:
    """How often a document has failed before this attempt."""
    return document.attempt - (document.interrupted or 0)


def _again(
    job: MarieJob, document: DocumentInFlight, *, not_before: datetime, interrupted: int = 0
) -> DocumentInFlight:
    ordinal = refs.ordinal(document.ref_id, refs.stem(job.metadata.name, job.metadata.uid))
    attempt = document.attempt + 1
    key = document.uri.split("/", 3)[-1]
    return DocumentInFlight(
        uri=document.uri,
        ref_id=_ref_id(job, key, ordinal=ordinal, attempt=attempt),
        attempt=attempt,
        not_before=not_before,
        interrupted=(document.interrupted or 0) + interrupted or None,
        since=document.since,
    )


def _ref_id(job: MarieJob, key: str, *, ordinal: int, attempt: int) -> str:
    return refs.ref_id(
        job=job.metadata.name,
        uid=job.metadata.uid,
        ordinal=ordinal,
        key=key,
        attempt=attempt,
        content_type=job.spec.input.content_type,
    )


def _failure(document: DocumentInFlight, message: str) -> DocumentFailure:
    return DocumentFailure(uri=document.uri, message=message or "Marie gave no reason; see the executors' logs.")


def _bounded(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 1]}…"
