"""Brings documents to Marie, each exactly once: searches in doubt, submits, and confirms."""

import asyncio
from collections.abc import Callable

import structlog

from marie_operator.marie.client import Found, Gateway
from marie_operator.marie.document import Document
from marie_operator.marie.metrics import GatewayMetrics, SubmissionResult
from marie_operator.marie.replies import RefusalKind, Refused
from marie_operator.marie.roster import Roster
from marie_operator.marie.ticket import DocumentState
from marie_operator.marie.transport import Unanswered
from marie_operator.runtime.clock import Clock
from marie_operator.runtime.errors import NotLeader
from marie_operator.runtime.resource import ObjectKey

SEARCHING, MAX_SEARCHING = 2.0, 60.0
"""Seconds between two searches; these double while the gateway cannot tell."""
SHOWING = 0.2
"""Seconds from an answer within which a submission does not show: Marie writes it down later."""
KEY_AGAIN = 60.0
"""Seconds after which a refused key is tried again: the gateway may have been given it."""

log = structlog.get_logger(__name__)


class Dispatch:
    """What it takes to bring the documents of one gateway there.

    Args:
        gateway: Where to.
        roster: Which documents.
        clock: For every age.
        limit: How many requests at the same time.
        fence: Called before each submission; raises NotLeader when another process may be about to make it.
        metrics: Counts submissions.
    """

    def __init__(
        self,
        gateway: Gateway,
        roster: Roster,
        *,
        clock: Clock,
        limit: asyncio.Semaphore,
        fence: Callable[[], None],
        metrics: GatewayMetrics,
    ) -> None:
        self._gateway = gateway
        self._metrics = metrics
        self._roster = roster
        self._clock = clock
        self._limit = limit
        self._fence = fence
        self._refused: dict[str, tuple[float, str]] = {}
        self._searched_at = float("-inf")
        self._searching = SEARCHING

    @property
    def due(self) -> bool:
        """Whether a doubt is old enough to be settled by the next look."""
        now = self._clock.monotonic()
        return any(document.doubted and document.settled(now, backlog=False) for document in self._roster)

    def interrupted(self) -> None:
        """The gateway was away, or is another process: what is in doubt is so from now on, and keys may be new."""
        now, self._searching = self._clock.monotonic(), SEARCHING
        for document in self._roster:
            document.undetermined(now)
        self._refused = {key: (float("-inf"), message) for key, (_, message) in self._refused.items()}

    async def search(self, *, backlog: bool) -> None:
        """Search for documents that may have been submitted by a process that is no more, or whose reply was lost.

        Args:
            backlog: Whether the gateway had submissions, just now, that are not in its database yet.
        """
        doubtful = self._roster.of(DocumentState.LOOKING_UP)
        began = self._clock.monotonic()
        decisive = [document for document in doubtful if document.settled(began, backlog=backlog)]
        new = any(document.since > self._searched_at for document in doubtful)
        if not doubtful or not (decisive or began - self._searched_at >= self._searching):
            return
        self._searched_at = began
        # What is completed is in a list that only grows: it is read at first, for what ended while nobody looked, and
        # at last, when the answer counts.
        completed = bool(decisive) or new
        try:
            found = await self._gateway.find([document.ticket.ref_id for document in doubtful], completed=completed)
        except Unanswered as error:
            self._unfound(doubtful, error)
            return
        self._searching = SEARCHING
        self._take_in(doubtful, found, began, completed=completed, backlog=backlog)

    def _unfound(self, doubtful: list[Document], error: Unanswered) -> None:
        """The gateway could not tell: it is asked less and less."""
        tell = log.warning if self._searching == SEARCHING else log.debug
        tell("cannot tell whether documents were submitted", url=self._gateway.url, problem=str(error))
        self._searching = min(2 * self._searching, MAX_SEARCHING)
        for document in doubtful:
            document.undetermined(self._clock.monotonic(), str(error))

    def _take_in(self, doubtful: list[Document], found: Found, began: float, *, completed: bool, backlog: bool) -> None:
        too_long = completed and not found.exhaustive
        if too_long:
            log.warning("a list of tasks is too long to be searched", url=self._gateway.url)
        for document in doubtful:
            document.searched(found, began, backlog=backlog, too_long=too_long)

    async def submit(self) -> None:
        """Submit what waits."""
        self._forget_keys()
        async with asyncio.TaskGroup() as group:
            for job, document, key in self._roster.with_keys():
                if document.ticket.withheld:
                    continue
                if document.state is DocumentState.KEY_REFUSED and key not in self._refused:
                    document.released()
                if document.state is DocumentState.WAITING or self._tries_again(document, key):
                    group.create_task(self._submit_one(job, document))

    def _tries_again(self, document: Document, key: str) -> bool:
        """Whether a refused key is to be tried again, with this one document."""
        if document.state is not DocumentState.KEY_REFUSED:
            return False
        refused_at, message = self._refused[key]
        if self._clock.monotonic() - refused_at < KEY_AGAIN:
            return False
        self._refused[key] = (self._clock.monotonic(), message)
        return True

    def _forget_keys(self) -> None:
        """Forget refused keys that no job has any more."""
        if self._refused:
            used = {key for _, _, key in self._roster.with_keys()}
            self._refused = {key: refusal for key, refusal in self._refused.items() if key in used}

    async def _submit_one(self, job: ObjectKey, document: Document) -> None:
        async with self._limit:
            # Much may have happened while others were submitted.
            key = self._roster.key_of(job, document)
            again = document.state is DocumentState.KEY_REFUSED
            if not key or document.ticket.withheld:
                return
            if key in self._refused and not again:
                document.answered(Refused(RefusalKind.CREDENTIALS, self._refused[key][1]), self._clock.monotonic())
                return
            try:
                self._fence()
            except NotLeader:
                return
            with self._roster.sending(job, document):
                await self._send(document, key)

    async def _send(self, document: Document, key: str) -> None:
        ticket = document.ticket
        document.submitted(self._clock.monotonic())
        try:
            reply = await self._gateway.submit(ticket.submission, ref_id=ticket.ref_id, api_key=key)
        except Unanswered as error:
            self._metrics.submitted(SubmissionResult.IN_DOUBT if error.maybe_sent else SubmissionResult.NOT_SENT)
            document.unanswered(str(error), self._clock.monotonic(), maybe_sent=error.maybe_sent)
            return
        self._metrics.submitted(SubmissionResult.REFUSED if isinstance(reply, Refused) else SubmissionResult.ACCEPTED)
        self._refused.pop(key, None)
        now = self._clock.monotonic()
        if isinstance(reply, Refused) and reply.kind is RefusalKind.CREDENTIALS:
            self._refused[key] = (now, reply.message)
        document.answered(reply, now)

    async def confirm(self, *, backlog: bool) -> None:
        """Ask for the DAGs of what was accepted.

        Args:
            backlog: Whether the gateway had submissions, just now, that are not in its database yet.
        """
        async with asyncio.TaskGroup() as group:
            now = self._clock.monotonic()
            for document in self._roster.of(DocumentState.SUBMITTING):
                if now - document.since < SHOWING:
                    # It is not there yet, however good it is: the question can be spared.
                    continue
                group.create_task(self._confirm_one(document, backlog=backlog))

    async def _confirm_one(self, document: Document, *, backlog: bool) -> None:
        async with self._limit:
            began = self._clock.monotonic()
            try:
                node = await self._gateway.node(document.job_id)
            except Unanswered as error:
                # A gateway whose database is down cannot say no.
                log.debug("confirmation failed", url=self._gateway.url, problem=str(error))
                document.undetermined(self._clock.monotonic())
            else:
                document.confirmed(node, began, backlog=backlog)
