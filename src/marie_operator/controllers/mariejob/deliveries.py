"""Results on their way to where users want them, in the background, so that no reconcile waits for an object store.

What was done survives this process in the parts of the manifest: a document that one of them lists is delivered. So a
crash between any two steps costs no more than copying again what was copied and not yet listed.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from marie_operator.controllers.mariejob import manifest
from marie_operator.controllers.mariejob.background import Background, uncounted
from marie_operator.controllers.mariejob.delivery import (
    DeliveryFailure,
    DeliveryOutcome,
    DeliveryRequest,
    Ended,
    Receipt,
    Totals,
)
from marie_operator.controllers.mariejob.objects import LISTED, Objects, ObjectsError
from marie_operator.runtime import Clock
from marie_operator.runtime.resource import ObjectKey

AT_ONCE = 16
"""Documents, of all jobs together, whose results are copied at the same time."""

_TOGETHER = 200
"""Most documents of one part of a manifest."""
_FIRST_RETRY = 2.0
_LAST_RETRY = 60.0


@dataclass(slots=True)
class _Delivery:
    """One job's results.

    Attributes:
        request: What is wanted.
        uid: The job's.
        delivered: Documents that are done and that the manifest lists.
        parts: The last part of the manifest that was written; None before that was looked up.
        tried: The last part whose writing was tried. A number is not used again: what seemed not to be written may be.
        lines: Of documents that are done and that no part lists yet.
        failure: What keeps it from going on.
        totals: Of the finished manifest.
    """

    request: DeliveryRequest
    uid: str
    delivered: dict[str, Receipt] = field(default_factory=dict)
    parts: int | None = None
    tried: int = 0
    lines: dict[str, bytes] = field(default_factory=dict)
    failure: DeliveryFailure | None = None
    totals: Totals | None = None

    @property
    def missing(self) -> Sequence[Ended]:
        """Documents that no part of the manifest lists."""
        return [each for each in self.request.documents if each.ref_id not in self.delivered]

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do for now."""
        return not self.missing and (self.request.closing is None or self.totals is not None)


class Deliveries:
    """Copies what Marie stored for each document that ended, and keeps the manifest.

    Args:
        objects: Copies, reads and writes.
        on_change: Called with a job's key when more is delivered, or when there is another reason why it is not.
        clock: For the manifest.
        writer: A name that no other process of the operator has.
        on_defect: Called when the work raises what nobody expected, which is told of that job alone.
    """

    def __init__(
        self,
        objects: Objects,
        *,
        on_change: Callable[[ObjectKey], None],
        clock: Clock,
        writer: str,
        on_defect: Callable[[], None] = uncounted,
    ) -> None:
        self._objects = objects
        self._on_change = on_change
        self._clock = clock
        self._writer = writer
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._deliveries: dict[ObjectKey, _Delivery] = {}
        self._background = Background("results", on_failure=self._stumble, on_defect=on_defect)

    @property
    def has_own(self) -> bool:
        """Whether the operator was given credentials of its own."""
        return self._objects.has_own

    def want(self, job: ObjectKey, uid: str, request: DeliveryRequest | None) -> None:
        """Say which documents of ``job`` have ended; ``None`` forgets what there was.

        Saying the same again changes nothing.

        Args:
            job: The job's key.
            uid: Its ``metadata.uid``.
            request: All that is to be delivered, or was and is in the job's status still.
        """
        delivery = self._deliveries.get(job)
        if delivery is not None and (request is None or delivery.uid != uid):
            self._background.end(job)
            del self._deliveries[job]
            delivery = None
        if request is None:
            return
        if delivery is None:
            delivery = self._deliveries[job] = _Delivery(request, uid)
        elif delivery.request.route != request.route:
            # Other credentials may work where these did not, and get as long to show it.
            self._background.end(job)
            delivery.failure = None
        delivery.request = request
        kept = {document.ref_id for document in request.documents}
        delivery.delivered = {ref_id: end for ref_id, end in delivery.delivered.items() if ref_id in kept}
        delivery.lines = {ref_id: line for ref_id, line in delivery.lines.items() if ref_id in kept}
        if not delivery.is_done:
            self._background.begin(job, partial(self._deliver, job, delivery))

    def outcome(self, job: ObjectKey) -> DeliveryOutcome:
        """How far ``job`` is."""
        delivery = self._deliveries.get(job)
        if delivery is None:
            return DeliveryOutcome()
        return DeliveryOutcome(dict(delivery.delivered), delivery.parts or 0, delivery.failure, delivery.totals)

    async def run(self) -> None:
        """Deliver what is wanted, until cancelled. To be run by the leader only."""
        await self._background.run()

    async def _deliver(self, job: ObjectKey, delivery: _Delivery) -> None:
        delay = _FIRST_RETRY
        while not delivery.is_done:
            try:
                await self._step(delivery)
            except ObjectsError as error:
                at_source = error.bucket == delivery.request.route.source
                self._fail(job, delivery, str(error), answered=error.refusal.answered, at_source=at_source)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_RETRY)
            else:
                delivery.failure, delay = None, _FIRST_RETRY
                self._on_change(job)

    async def _step(self, delivery: _Delivery) -> None:
        """Do some of what is missing.

        Raises:
            ObjectsError: what keeps it from all of that.
        """
        request = delivery.request
        if delivery.parts is None:
            known, last = await manifest.recorded(self._objects, request.route, request.parts)
            delivery.delivered |= known
            delivery.parts = delivery.tried = last
        elif missing := delivery.missing[:_TOGETHER]:
            await self._carry(delivery, missing)
        elif request.closing is not None:
            delivery.totals = await manifest.close(self._objects, request.route, request.closing)

    async def _carry(self, delivery: _Delivery, documents: Sequence[Ended]) -> None:
        """Deliver documents, and list in the manifest those that made it.

        Raises:
            ObjectsError: what became of the first of the others.
        """
        async with asyncio.TaskGroup() as group:
            copying = [
                group.create_task(self._one(delivery, document))
                for document in documents
                if document.ref_id not in delivery.lines
            ]
        if delivery.lines:
            ends = {document.ref_id: document.receipt for document in documents}
            delivery.tried += 1
            number, lines = delivery.tried, dict(delivery.lines)
            await manifest.record(self._objects, delivery.request.route, number, self._writer, lines.values())
            delivery.parts = number
            delivery.delivered |= {ref_id: ends[ref_id] for ref_id in lines}
            delivery.lines, delivery.failure = {}, None
        if error := next((each for each in map(asyncio.Task.result, copying) if each is not None), None):
            raise error

    async def _one(self, delivery: _Delivery, document: Ended) -> ObjectsError | None:
        """Copy a document's results; what keeps them from it, if anything does."""
        route = delivery.request.route
        keys: list[str] = []
        try:
            async with self._slots:
                if document.receipt.state == "Succeeded":
                    folder = f"{route.shelf}/{document.stem}"
                    page: Sequence[str] = await self._objects.keys(route.source, folder)
                    while page:
                        for key in filter(lambda key: key.endswith(route.ending), page):
                            new = f"{route.prefix}{document.folder}/{key.removeprefix(f'{folder}/')}"
                            await self._objects.copy(route.source, key, route.target, new)
                            keys.append(new)
                        page = await self._objects.keys(route.source, folder, page[-1]) if len(page) == LISTED else ()
        except ObjectsError as error:
            return error
        delivery.lines[document.ref_id] = manifest.line(document, keys, route, self._clock.now())
        return None

    def _stumble(self, job: ObjectKey, message: str) -> None:
        if (delivery := self._deliveries.get(job)) is not None:
            self._fail(job, delivery, message, answered=False, at_source=False)

    def _fail(self, job: ObjectKey, delivery: _Delivery, message: str, *, answered: bool, at_source: bool) -> None:
        before = delivery.failure
        since = before.since if before is not None else self._clock.now()
        delivery.failure = DeliveryFailure(message, answered, since, at_source)
        if before != delivery.failure:
            self._on_change(job)
