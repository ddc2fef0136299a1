"""One document on its way through Marie: a state machine without I/O.

Marie confirms nothing and forgets silently, so the machine only believes what it has seen: a DAG
under the id that a submission returned, or under the reference id. Between two looks it waits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from marie_operator.marie.client import Submission
from marie_operator.marie.replies import Accepted, Node, NodeState, RefusalKind, Refused, SubmitReply

SETTLE = 10.0
"""Seconds after which a submission that shows nowhere is surely not there; a good one shows within half a second."""
MOST_DROPS = 3
"""Times a document may be accepted and lost before it is given up."""


class DocumentState(StrEnum):
    """Where a document is."""

    WAITING = "Waiting"
    """Not asked for yet."""
    LOOKING_UP = "LookingUp"
    """It may have been asked for: Marie is searched for it before it is asked for again."""
    SUBMITTING = "Submitting"
    """Asked for, not seen yet."""
    SUBMITTED = "Submitted"
    """Marie has it; no executor does."""
    RUNNING = "Running"
    """An executor has it."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    REFUSED = "Refused"
    """Marie will not take it."""
    KEY_REFUSED = "KeyRefused"
    """Marie does not accept the API key; goes on with another one."""


ENDED = frozenset({DocumentState.SUCCEEDED, DocumentState.FAILED, DocumentState.CANCELLED, DocumentState.REFUSED})


@dataclass(frozen=True, slots=True)
class Ticket:
    """One attempt at one document, as a job has recorded it.

    Attributes:
        ref_id: Names the attempt; no two attempts of any job share one.
        submission: What to ask for.
        attempt: How many attempts came before.
        dag_id: Its DAG, once known; empty before.
        fresh: It was recorded a moment ago by this process, so that Marie cannot know it.
    """

    ref_id: str
    submission: Submission
    attempt: int = 0
    dag_id: str = ""
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class DocumentView:
    """What is known of a document.

    Attributes:
        state: Where it is.
        dag_id: Its DAG; empty until confirmed.
        message: Why, as a sentence, where there is more to say.
    """

    state: DocumentState
    dag_id: str = ""
    message: str = ""


@dataclass(slots=True)
class Document:
    """The machine. Times are seconds of one monotonic clock.

    Attributes:
        ticket: What was recorded.
        view: What is known.
        since: When the present doubt, or the wait for a confirmation, began.
        job_id: What the last submission returned, until it is confirmed.
        drops: How often an accepted submission vanished.
        key: The API key that was refused.
        unfinished: Its tasks that the lists held at the last look; None when they should be walked at the next.
        unseen_since: When its DAG was first not found; None while it is.
        quiet: Whether the last look found nothing unfinished of a DAG whose tasks cannot be counted up.
    """

    ticket: Ticket
    view: DocumentView
    since: float
    job_id: str = ""
    drops: int = 0
    key: str = ""
    unfinished: frozenset[str] | None = None
    unseen_since: float | None = None
    quiet: bool = False

    @classmethod
    def of(cls, ticket: Ticket, now: float) -> "Document":
        """A document this process has not met: confirmed, new, or in doubt."""
        if ticket.dag_id:
            view = DocumentView(DocumentState.SUBMITTED, ticket.dag_id)
        elif ticket.fresh:
            view = DocumentView(DocumentState.WAITING)
        else:
            view = DocumentView(
                DocumentState.LOOKING_UP, message="It may have been submitted before; Marie is searched."
            )
        return cls(ticket, view, now)

    @property
    def followed(self) -> bool:
        """Whether its DAG is known and has not ended."""
        return self.view.state in {DocumentState.SUBMITTED, DocumentState.RUNNING}

    # Submitting.

    def answered(self, reply: SubmitReply, now: float, api_key: str) -> None:
        """The gateway has answered the submission."""
        match reply:
            case Accepted(job_id):
                self.job_id, self.since = job_id, now
                self.view = DocumentView(DocumentState.SUBMITTING)
            case Refused(RefusalKind.CREDENTIALS, message):
                self.key = api_key
                self.view = DocumentView(DocumentState.KEY_REFUSED, message=message)
            case Refused(_, message):
                self.view = DocumentView(DocumentState.REFUSED, message=f"Marie refuses the document: {message}")

    def unanswered(self, message: str, now: float, *, maybe_sent: bool) -> None:
        """No answer to the submission came: unless it surely was not sent, Marie may have it."""
        if maybe_sent:
            self.since = now
            self.view = DocumentView(DocumentState.LOOKING_UP, message=f"The reply was lost: {message}")
        else:
            self.view = DocumentView(DocumentState.WAITING, message=message)

    def confirmed(self, node: Node | None, now: float) -> None:
        """The gateway was asked for the DAG of the submission it accepted."""
        if node is not None:
            self._found(node.dag_id)
        elif now - self.since >= SETTLE:
            # Accepted and dropped, as Marie does with what it does not like and while its database is down. Before
            # it is asked for again it is searched for once more, now that it cannot be on its way any longer.
            self.drops += 1
            self.job_id = ""
            self.view = DocumentView(
                DocumentState.LOOKING_UP, message="Marie accepted the document and does not have it."
            )

    def searched(self, found: Mapping[str, str], now: float) -> None:
        """Marie was searched for reference ids; ``found`` has the DAGs by them.

        A search that says no proves something only when it began SETTLE after the doubt did.
        """
        dag_id = found.get(self.ticket.ref_id)
        if dag_id is not None:
            self._found(dag_id)
        elif now - self.since >= SETTLE:
            self.since = now
            if self.drops >= MOST_DROPS:
                self.view = DocumentView(
                    DocumentState.REFUSED,
                    message=f"Marie accepted the document {self.drops} times and dropped it each time;"
                    " the gateway's log says why.",
                )
            else:
                self.view = DocumentView(DocumentState.WAITING)

    def with_key(self, api_key: str) -> None:
        """Another API key may be accepted."""
        if self.view.state is DocumentState.KEY_REFUSED and api_key not in {"", self.key}:
            self.view = DocumentView(DocumentState.WAITING)

    def _found(self, dag_id: str) -> None:
        self.job_id = ""
        self.unfinished = None
        self.view = DocumentView(DocumentState.SUBMITTED, dag_id)

    # Following.

    def listed(self, nodes: Sequence[Node]) -> bool:
        """What the unfinished lists hold of its DAG; whether its tasks should be walked now.

        The lists are read one after another, so a task may be in two of them, or in none for a moment. They are good
        for noticing that something moved, not for saying where to.
        """
        if any(node.works for node in nodes):
            self.view = DocumentView(DocumentState.RUNNING, self.view.dag_id)
        unfinished = frozenset(node.id for node in nodes)
        moved = unfinished != self.unfinished or not unfinished
        self.unfinished = unfinished
        return moved

    def walked(self, walk: Sequence[Node], elsewhere: Iterable[Node], now: float) -> None:
        """Its tasks as they were counted up, and those of its DAG that the lists of failed and cancelled hold."""
        states = {node.state for node in (*walk, *elsewhere)}
        dag_id = self.view.dag_id
        if not states:
            self._vanished(now)
            return
        self.unseen_since = None
        if {NodeState.FAILED, NodeState.EXPIRED} & states:
            message = f"Marie's task for it failed (DAG {dag_id}); the executor's log says why."
            self.view = DocumentView(DocumentState.FAILED, dag_id, message)
        elif NodeState.CANCELLED in states:
            self.view = DocumentView(DocumentState.CANCELLED, dag_id, f"DAG {dag_id} was cancelled in Marie.")
        elif states == {NodeState.COMPLETED} and not self.unfinished:
            if len(walk) == 1 and not self.quiet:
                # Only the root could be counted: the tasks are known from the lists alone, so look twice.
                self.quiet, self.unfinished = True, None
            else:
                self.view = DocumentView(DocumentState.SUCCEEDED, dag_id)
        elif states == {NodeState.COMPLETED} or not self.unfinished:
            # Something is unfinished that was not walked, or the other way round: look again.
            self.unfinished = None

    def unwalked(self) -> None:
        """The walk failed: it is due again."""
        self.unfinished = None

    def _vanished(self, now: float) -> None:
        """Marie no longer knows the DAG: after SETTLE that is no accident."""
        self.unfinished = None
        if self.unseen_since is None:
            self.unseen_since = now
        elif now - self.unseen_since >= SETTLE:
            message = f"Marie no longer knows DAG {self.view.dag_id}; its database may have been replaced."
            self.view = DocumentView(DocumentState.FAILED, self.view.dag_id, message)
