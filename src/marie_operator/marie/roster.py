"""The documents that one gateway was given, by job."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from marie_operator.marie.document import Document
from marie_operator.marie.metrics import GatewayMetrics
from marie_operator.marie.ticket import DocumentState, DocumentView, Ticket
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.resource import ObjectKey


class Roster:
    """Documents, their jobs, and the keys to submit them with.

    Args:
        clock: For ages.
        on_job: Called with a job when one of its documents is not where it was when last told.
        metrics: Counts where they come to.
    """

    def __init__(self, *, clock: Clock, on_job: Callable[[ObjectKey], None], metrics: GatewayMetrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._on_job = on_job
        self._documents: dict[ObjectKey, dict[str, Document]] = {}
        self._keys: dict[ObjectKey, str] = {}
        self._told: dict[ObjectKey, dict[str, DocumentView]] = {}
        self._sending: dict[tuple[ObjectKey, str], Document] = {}

    def follow(self, job: ObjectKey, tickets: Sequence[Ticket], api_key: str) -> bool:
        """Have exactly these documents of a job; whether any is new, or is to be submitted only now."""
        if not tickets:
            self._documents.pop(job, None)
            self._keys.pop(job, None)
            self._told.pop(job, None)
            return False
        known = self._documents.get(job, {})
        withheld = {ref_id for ref_id, document in known.items() if document.ticket.withheld}
        documents = {ticket.ref_id: self._met(job, ticket, known) for ticket in tickets}
        for ticket in tickets:
            documents[ticket.ref_id].wanted(cancel=ticket.cancel)
        self._documents[job] = documents
        self._keys[job] = api_key
        released = {ticket.ref_id for ticket in tickets if not ticket.withheld} & withheld
        return bool(released or documents.keys() - known.keys())

    def _met(self, job: ObjectKey, ticket: Ticket, known: dict[str, Document]) -> Document:
        """The document of a ticket. One that was forgotten while it was being sent is still the same one."""
        found = known.get(ticket.ref_id) or self._sending.get((job, ticket.ref_id))
        if found is None:
            return Document.of(ticket, self._clock.monotonic())
        found.expect(ticket, self._clock.monotonic())
        return found

    def views(self, job: ObjectKey) -> dict[str, DocumentView]:
        """What is known of a job's documents, by reference id."""
        return {ref_id: document.view for ref_id, document in self._documents.get(job, {}).items()}

    def __iter__(self) -> Iterator[Document]:
        for documents in self._documents.values():
            yield from documents.values()

    def of(self, *states: DocumentState) -> list[Document]:
        """Documents in any of some states."""
        return [document for document in self if document.state in states]

    def with_keys(self) -> list[tuple[ObjectKey, Document, str]]:
        """Documents of jobs that have a key, with both."""
        return [
            (job, document, key)
            for job, documents in self._documents.items()
            if (key := self._keys[job])
            for document in documents.values()
        ]

    def key_of(self, job: ObjectKey, document: Document) -> str:
        """The key to submit a document with; empty when it has none, or is not wanted any more."""
        wanted = self._documents.get(job, {}).get(document.ticket.ref_id) is document
        return self._keys[job] if wanted else ""

    @contextmanager
    def sending(self, job: ObjectKey, document: Document) -> Iterator[None]:
        """While its submission is on its way, a document is remembered even if its job forgets it."""
        place = (job, document.ticket.ref_id)
        self._sending[place] = document
        try:
            yield
        finally:
            del self._sending[place]

    def tell(self) -> None:
        """Call back for the jobs whose documents have moved."""
        for job in list(self._documents):
            views, told = self.views(job), self._told.get(job, {})
            if told != views:
                self._count(told, views)
                self._told[job] = views
                self._on_job(job)

    def _count(self, told: Mapping[str, DocumentView], views: Mapping[str, DocumentView]) -> None:
        for ref_id, view in views.items():
            before = told.get(ref_id)
            if before is None or before.state != view.state:
                self._metrics.moved(view.state)
            if view.repeated and not (before is not None and before.repeated):
                self._metrics.repeated.inc()
