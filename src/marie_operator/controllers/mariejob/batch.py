"""The documents of a job: pure functions on ``status.documents``.

Invariants, at every step: the number in flight never exceeds the bound; a document listed is in flight, succeeded
or failed, in exactly one of them; counts never decrease; the cursor moves in the same value as what it passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from marie_operator.api.mariejob import DocumentFailure, DocumentInFlight, JobDocuments, MarieJob
from marie_operator.controllers.mariejob import refs
from marie_operator.controllers.mariejob.source import SingleDocument, Source
from marie_operator.controllers.mariejob.store import ListRequest, Page
from marie_operator.marie.gateways import DocumentState, DocumentView

SHOWN_FAILURES = 20
"""Failures listed in status; all of them are in the ConfigMap ``<job>-failures``."""

LONGEST_MESSAGE = 512
"""Characters kept of a document's failure."""

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
    """

    documents: JobDocuments
    retried: Sequence[tuple[DocumentInFlight, str]] = field(default=())
    failed: Sequence[DocumentFailure] = field(default=())
    cancelled: int = 0
    refused: int = 0


def settle(job: MarieJob, views: Mapping[str, DocumentView], now: datetime) -> Settled:
    """Move each document to where Marie says it is.

    A document that failed or was refused gets a new entry with the next attempt, to be submitted after
    10 s * 2^attempt (at most 6 minutes), as long as ``spec.backoffLimit`` allows one.
    """
    documents = job.status.documents or JobDocuments()
    in_flight: list[DocumentInFlight] = []
    retried: list[tuple[DocumentInFlight, str]] = []
    failed: list[DocumentFailure] = []
    succeeded = cancelled = refused = 0
    for document in documents.in_flight:
        view = views.get(document.ref_id) if document.not_before is None else None
        match view.state if view is not None else None:
            case DocumentState.SUCCEEDED:
                succeeded += 1
            case DocumentState.CANCELLED:
                cancelled += 1
                failed.append(_failure(document, view.message if view is not None else ""))
            case DocumentState.FAILED | DocumentState.REFUSED:
                message = _bounded(view.message) if view is not None else ""
                if document.attempt < job.spec.backoff_limit:
                    retried.append((_next_attempt(job, document, now), message))
                    in_flight.append(retried[-1][0])
                else:
                    refused += view is not None and view.state is DocumentState.REFUSED
                    failed.append(_failure(document, message))
            case _:
                dag_id = view.dag_id if view is not None else ""
                known = not dag_id or dag_id == document.dag_id
                in_flight.append(document if known else document.model_copy(update={"dag_id": dag_id}))
    settled = documents.model_copy(
        update={
            "in_flight": tuple(in_flight),
            "succeeded": documents.succeeded + succeeded,
            "failed": documents.failed + len(failed),
            "failures": (*documents.failures, *failed)[:SHOWN_FAILURES],
        }
    )
    return Settled(settled, retried, failed, cancelled, refused)


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


def admit(job: MarieJob, documents: JobDocuments, source: Source, page: Page | None) -> JobDocuments:
    """Put as many new documents in flight as ``spec.batch.maxInFlight`` leaves room for.

    Args:
        job: the job.
        documents: what there is.
        source: where its documents are.
        page: keys to take documents from, which may be outdated: what lies before the cursor is passed over.
    """
    if isinstance(source, SingleDocument):
        return documents if documents.listed else _admitted(job, documents, [(source.key, source.uri)], total=1)
    if page is None or (documents.total is not None and documents.listed >= documents.total):
        return documents
    ahead = [key for key in page.keys if key > documents.cursor]
    most = job.spec.batch.max_documents
    left = len(ahead) if most is None else max(0, min(len(ahead), most - documents.listed))
    total = documents.listed + left if page.last or left < len(ahead) or documents.listed + left == most else None
    room = max(0, min(left, job.spec.batch.max_in_flight - len(documents.in_flight)))
    return _admitted(job, documents, [(key, source.document(key)) for key in ahead[:room]], total=total)


def wanted_page(documents: JobDocuments, request: ListRequest, page: Page | None) -> ListRequest | None:
    """Which page of keys a job over a prefix should work from: the one it has, the next one, or none any more.

    Args:
        documents: what there is.
        request: how to ask for the first page.
        page: the page it has.
    """
    if is_listed(documents):
        return None
    if page is not None and any(key > documents.cursor for key in page.keys):
        return page.request
    after = max(documents.cursor, page.end) if page is not None else documents.cursor
    return ListRequest(request.source, after, request.credentials)


def is_listed(documents: JobDocuments) -> bool:
    """Whether every document of the job has been in flight."""
    return documents.total is not None and documents.listed >= documents.total


def is_done(documents: JobDocuments) -> bool:
    """Whether every document of the job has come to its end."""
    return is_listed(documents) and not documents.in_flight


def _admitted(
    job: MarieJob, documents: JobDocuments, new: Sequence[tuple[str, str]], *, total: int | None
) -> JobDocuments:
    entries = tuple(
        DocumentInFlight(uri=uri, ref_id=_ref_id(job, key, ordinal=documents.listed + index, attempt=0))
        for index, (key, uri) in enumerate(new, start=1)
    )
    return documents.model_copy(
        update={
            "total": total,
            "listed": documents.listed + len(entries),
            "cursor": new[-1][0] if new else documents.cursor,
            "in_flight": (*documents.in_flight, *entries),
        }
    )


def _next_attempt(job: MarieJob, document: DocumentInFlight, now: datetime) -> DocumentInFlight:
    ordinal = refs.ordinal(document.ref_id, job=job.metadata.name, uid=job.metadata.uid)
    attempt = document.attempt + 1
    delay = min(_LAST_DELAY, _FIRST_DELAY * 2 ** min(document.attempt, 10))
    key = document.uri.split("/", 3)[-1]
    return DocumentInFlight(
        uri=document.uri,
        ref_id=_ref_id(job, key, ordinal=ordinal, attempt=attempt),
        attempt=attempt,
        not_before=now + delay,
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
