"""One document on its way through Marie: a state machine without I/O.

Marie confirms nothing and forgets silently, so the machine only believes what it has seen: a DAG
under the id that a submission returned, or under the reference id. Between two looks it waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from marie_operator.marie.client import Found
from marie_operator.marie.database import StoredDag
from marie_operator.marie.listing import Listing
from marie_operator.marie.replies import (
    Accepted,
    Node,
    NodeState,
    RefusalKind,
    Refused,
    SubmitReply,
    identifier,
)
from marie_operator.marie.ticket import ENDED, DocumentState, DocumentView, Ticket

SETTLE = 10.0
"""Seconds after which a submission that shows nowhere is surely not there; a good one shows within half a second."""
BACKLOG = 300.0
"""Seconds that the same takes at most while the gateway has submissions which are not in its database yet."""
RETRACE = 10.0
"""Seconds between two looks at the whole of a DAG whose tasks cannot be counted up, when nothing seems to move; and
until the first look at any that shows in the lists."""
STILL = 2.5
"""Seconds after which a DAG that moved and shows in the lists yet is looked at whole: most end before, and are then
looked at once; one whose task failed stays as it is."""
FORSAKEN = 60.0
"""Seconds after which a task that was at work when the gateway ended, and is active still, is in nobody's hands."""
MOST_DROPS = 3
"""Times a document may be accepted and lost before it is given up."""
NO_REASONS: Mapping[str, str] = {}


@dataclass(slots=True)
class Document:
    """The machine. Times are seconds of one monotonic clock.

    Attributes:
        ticket: What was recorded.
        view: What is known.
        since: When the present doubt, or the wait for a confirmation, began; or what could be told since.
        job_id: What the last submission returned, until it is confirmed.
        drops: How often an accepted submission vanished while Marie was in order.
        excused: Whether the gateway could not tell, at some time since the submission.
        unfinished: Its tasks that the lists held at the last look; None when it is to be looked at whole.
        met: Its tasks that any list ever held.
        looked: When it was last looked at whole.
        due: When it is to be looked at whole, if it still shows in the lists.
        unseen_since: When its DAG was first not found; None while it is.
        tasks: What counting up found last.
        unsure: Whether counting up does not surely find all of its tasks.
        quiet: Whether the last look found nothing of it that has yet to be done, or went wrong, without proof.
        whole: Whether the last look at the lists was at all of them.
        works: Its tasks that executors had at the last look at the lists.
        forsaken: Those of them that the gateway had given away before it ended.
        forsaken_at: When that was noticed.
        examined: Whether the database was asked for such tasks since, or has none of them.
        cancel: Whether it is being withdrawn, so that the database alone says when it is cancelled.
    """

    ticket: Ticket
    view: DocumentView
    since: float
    job_id: str = ""
    drops: int = 0
    excused: bool = False
    unfinished: frozenset[str] | None = None
    met: frozenset[str] = frozenset()
    looked: float = float("-inf")
    due: float = float("inf")
    unseen_since: float | None = None
    tasks: tuple[Node, ...] = ()
    unsure: bool = False
    quiet: bool = False
    whole: bool = True
    works: frozenset[str] = frozenset()
    forsaken: frozenset[str] = frozenset()
    forsaken_at: float = 0.0
    examined: bool = True
    cancel: bool = False

    @classmethod
    def of(cls, ticket: Ticket, now: float) -> "Document":
        """A document this process has not met: confirmed, new, or in doubt."""
        if dag_id := identifier(ticket.dag_id):
            view = DocumentView(DocumentState.SUBMITTED, dag_id)
        elif ticket.awaited:
            view = DocumentView(DocumentState.LOOKING_UP)
        elif ticket.fresh:
            view = DocumentView(DocumentState.WAITING)
        else:
            view = DocumentView(
                DocumentState.LOOKING_UP, message="It may have been submitted before; Marie is searched."
            )
        # What this process has not submitted itself may have been in the hands of a gateway that is no more.
        return cls(ticket, view, now, examined=ticket.fresh)

    def expect(self, ticket: Ticket, now: float) -> None:
        """What is to be asked for, who submits it, or whether it is to be submitted, may be different now.

        What another process was to submit, and is not with Marie by then, is looked up anew.
        """
        handed_over = ticket.awaited != self.ticket.awaited
        self.ticket = ticket
        if handed_over and self.state in {DocumentState.WAITING, DocumentState.LOOKING_UP}:
            self.since = now
            self._is(DocumentState.LOOKING_UP)

    @property
    def state(self) -> DocumentState:
        """Where it is."""
        return self.view.state

    @property
    def followed(self) -> bool:
        """Whether its DAG is known and has not ended."""
        return self.state in {DocumentState.SUBMITTED, DocumentState.RUNNING}

    @property
    def withdrawable(self) -> bool:
        """Whether the database is to be told that it is cancelled, or asked whether that holds."""
        return self.cancel and (self.followed or self.state is DocumentState.CANCELLING)

    @property
    def doubted(self) -> bool:
        """Whether Marie may have it, and has not shown it yet."""
        return self.state in {DocumentState.SUBMITTING, DocumentState.LOOKING_UP}

    @property
    def known(self) -> Sequence[Node]:
        """All of its tasks, where these are sure."""
        return () if self.unsure else self.tasks

    @property
    def over(self) -> bool:
        """Whether the lists held nothing of it at the last look that has yet to be done."""
        return self.unfinished is not None and not self.unfinished

    def _is(self, state: DocumentState, message: str = "", *, dag_id: str = "") -> None:
        self.view = replace(self.view, state=state, dag_id=dag_id, message=message)

    # Submitting.

    def submitted(self, now: float) -> None:
        """The submission is about to be sent; from here on Marie may have it."""
        self.job_id, self.since, self.excused = "", now, False
        self._is(DocumentState.SUBMITTING)

    def answered(self, reply: SubmitReply, now: float) -> None:
        """The gateway has answered the submission."""
        self.since = now
        match reply:
            case Accepted(job_id):
                self.job_id = job_id
            case Refused(RefusalKind.CREDENTIALS, message):
                self._is(DocumentState.KEY_REFUSED, message)
            case Refused(_, message):
                self._is(DocumentState.REFUSED, f"Marie refuses the document: {message}")

    def unanswered(self, message: str, now: float, *, maybe_sent: bool) -> None:
        """No answer to the submission came: unless it surely was not sent, Marie may have it."""
        self.since = now
        if maybe_sent:
            self._is(DocumentState.LOOKING_UP, f"Whether Marie has taken the document is not known: {message}")
        else:
            self._is(DocumentState.WAITING, message)

    def released(self) -> None:
        """Another API key may be accepted, or the same one now."""
        if self.state is DocumentState.KEY_REFUSED:
            self._is(DocumentState.WAITING)

    # A gateway that ended.

    def restarted(self, now: float) -> None:
        """The gateway is another process, and takes up nothing that the one before had given away (MA-21)."""
        if self.state not in ENDED:
            self.forsaken, self.forsaken_at, self.examined = self.works, now, False

    @property
    def examinable(self) -> bool:
        """Whether the database is to be asked for tasks that are in nobody's hands."""
        return self.followed and not self.examined and not self.cancel

    def went_on(self, *, taken_up: bool) -> None:
        """The database was asked, and told where need be."""
        self.examined, self.forsaken = True, frozenset()
        if taken_up:
            self.unfinished = None
            self.view = replace(self.view, taken_up=True)

    # Withdrawing.

    def wanted(self, *, cancel: bool) -> None:
        """Whether it is being withdrawn from now on."""
        self.cancel = cancel
        if not cancel and self.state is DocumentState.CANCELLING:
            # Nobody asks the database any more: what the gateway says counts again.
            self._found(self.view.dag_id)

    def withdrawn(self, stored: StoredDag, reasons: Mapping[str, str]) -> None:
        """The database was told that it is cancelled, and this is what it has of it now.

        Args:
            stored: Its DAG.
            reasons: Why tasks failed, by id, as far as that is known.
        """
        if not self.withdrawable or stored.id != self.view.dag_id:
            return
        match stored.outcome:
            case NodeState.COMPLETED:
                self._is(DocumentState.SUCCEEDED, dag_id=stored.id)
            case NodeState.FAILED:
                task = next(each for each in stored.tasks if each.state in {NodeState.FAILED, NodeState.EXPIRED})
                self._is(
                    DocumentState.FAILED,
                    _failure(stored.id, task.name, task.state, reasons.get(task.id, "")),
                    dag_id=stored.id,
                )
            case NodeState.CANCELLED:
                self._is(
                    DocumentState.CANCELLED, f"DAG {stored.id} was cancelled in Marie's database.", dag_id=stored.id
                )
            case _:
                if stored.cancelled:
                    self._is(DocumentState.CANCELLING, dag_id=stored.id)

    # In doubt.

    def settled(self, now: float, *, backlog: bool) -> bool:
        """Whether not to be found, from ``now`` on, means not to be there.

        Args:
            now: When the search began.
            backlog: Whether the gateway had submissions before that which were not in its database yet.
        """
        return now - self.since >= (BACKLOG if backlog else SETTLE)

    def undetermined(self, now: float, problem: str = "") -> None:
        """The gateway could not tell, as while its database is down, or is another process: the doubt begins anew.

        Args:
            now: From when on.
            problem: Why it could not, where it was searched.
        """
        if self.state is DocumentState.SUBMITTING and not self.job_id:
            self.unanswered("the request was interrupted.", now, maybe_sent=True)
        elif self.doubted:
            self.since, self.excused = now, True
            if problem and self.state is DocumentState.LOOKING_UP:
                self._is(DocumentState.LOOKING_UP, f"Whether Marie has the document cannot be told: {problem}.")

    def confirmed(self, node: Node | None, began: float, *, backlog: bool) -> None:
        """The gateway was asked, at ``began``, for the DAG of the submission it accepted."""
        if self.state is not DocumentState.SUBMITTING:
            return
        if node is not None:
            self._found(node.dag_id)
        elif self.settled(began, backlog=backlog):
            # Accepted and dropped, as Marie does with what it does not like and while its database is down. Before
            # it is asked for again it is searched for once more, now that it cannot be on its way any longer.
            self.drops += not self.excused
            self.job_id = ""
            self._is(DocumentState.LOOKING_UP, "Marie accepted the document and does not have it.")

    def searched(self, found: Found, began: float, *, backlog: bool, too_long: bool = False) -> None:
        """Marie was searched, from ``began`` on, for its reference id.

        Args:
            found: What the search brought.
            began: When it began.
            backlog: As for ``settled``.
            too_long: Whether the search left out what nobody can read.
        """
        if self.state is not DocumentState.LOOKING_UP:
            return
        dag_id = found.dags.get(self.ticket.ref_id)
        if dag_id is not None:
            self._found(dag_id)
        elif (found.exhaustive or too_long) and self.settled(began, backlog=backlog):
            if self.ticket.awaited:
                self.since = began
            elif self.drops >= MOST_DROPS:
                self._is(
                    DocumentState.REFUSED,
                    f"Marie accepted the document {self.drops} times and dropped it each time;"
                    " the gateway's log says why.",
                )
            else:
                self._is(DocumentState.WAITING)
                self.view = replace(self.view, repeated=self.view.repeated or not found.exhaustive)

    def _found(self, dag_id: str) -> None:
        self.job_id = ""
        self.unfinished = None
        self._is(DocumentState.SUBMITTED, dag_id=dag_id)

    # Following.

    def listed(self, nodes: Sequence[Node], now: float, *, complete: bool = True) -> bool:
        """What the unfinished lists hold of its DAG; whether it is to be looked at whole.

        The lists are read one after another, so a task may be in two of them, or in none for a moment. They are good
        for noticing that something moved, not for saying where to.

        Args:
            nodes: Its tasks.
            now: When they had been read.
            complete: Whether all of each list was read: otherwise, that nothing is found proves nothing.
        """
        if any(node.works for node in nodes):
            self._is(DocumentState.RUNNING, dag_id=self.view.dag_id)
        self.works = frozenset(node.id for node in nodes if node.works)
        self.forsaken &= self.works
        if self.forsaken and now - self.forsaken_at >= FORSAKEN:
            dag_id = self.view.dag_id
            message = f"DAG {dag_id} was at work when the gateway ended, and Marie does not take it up again."
            self._is(DocumentState.FAILED, message, dag_id=dag_id)
            return False
        unfinished = frozenset(node.id for node in nodes)
        self.quiet, self.whole = self.quiet and not unfinished and complete, complete
        asked = self.unfinished is None and bool(self.met)
        if unfinished != self.unfinished:
            self.due = now + (STILL if self.met else RETRACE)
        self.unfinished = unfinished
        self.met |= unfinished
        return asked or not unfinished or now >= self.due or (self.unsure and now - self.looked >= RETRACE)

    def examined_for_ends(self, ended: Sequence[Node], now: float, reasons: Mapping[str, str] = NO_REASONS) -> None:
        """The lists of what has ended otherwise than well were read, after those of what has yet to be done.

        Args:
            ended: Those of its tasks that failed, expired or were cancelled.
            now: When they had been read.
            reasons: Why tasks failed, by id, as far as that is known.
        """
        if self.followed:
            self.looked, self.due = now, float("inf")
            self._broken(ended, reasons)

    def walked(self, walk: Sequence[Node]) -> None:
        """Its tasks as they were counted up, now that the lists hold nothing that has yet to be done.

        That there are no others is sure when the last one is the plan's end and no list has ever held another. It is
        done when nothing else can be: the end is done last, and does not go back and forth between two lists.

        Args:
            walk: The tasks. Their states may be old ones, but for the last word: none leaves ``completed``.
        """
        if not self.followed:
            return
        self.tasks = tuple(walk)
        self.unsure = not (len(walk) > 1 and walk[-1].idle and self.met <= {node.id for node in walk})
        if walk:
            self.unseen_since = None
        if not self.unsure and self.over:
            self._done(proven=walk[-1].state is NodeState.COMPLETED)

    def traced(self, walk: Sequence[Node], completed: Listing | None, now: float) -> None:
        """Whether it is done, when counting up does not surely find all of its tasks.

        Args:
            walk: Those that were counted up.
            completed: Those of any DAG that are completed, when they were read.
            now: When all that had been read.
        """
        if not self.followed:
            return
        known = [*walk, *(node for node in (completed.nodes if completed else ()) if node.dag_id == self.view.dag_id)]
        if not known and not self.unfinished and (completed is None or completed.complete):
            self._vanished(now)
            return
        self.unseen_since = None
        if self.over:
            # Where the completed ones are too many to be read, it is among them: it is nowhere else.
            self._done(proven=completed is not None)

    def _done(self, *, proven: bool) -> None:
        """Nothing of it has yet to be done, nor went wrong: that is seen twice, unless it is proven.

        A list that Marie's database would not make is empty (MA-27), and so may be all of them, once.
        """
        if proven or self.quiet:
            self._is(DocumentState.SUCCEEDED, dag_id=self.view.dag_id)
        else:
            self.quiet, self.unfinished = self.whole, None

    def unlooked(self) -> None:
        """The look at the whole failed: it is due again."""
        self.unfinished = None

    def missing(self, now: float) -> bool:
        """Whether it was found nowhere for so long that it must be searched for among all that was completed."""
        return self.unseen_since is not None and now - self.unseen_since >= SETTLE

    def _broken(self, nodes: Sequence[Node], reasons: Mapping[str, str]) -> bool:
        """Whether there is no more to be learnt from its tasks."""
        dag_id = self.view.dag_id
        failed = next((node for node in nodes if node.state in {NodeState.FAILED, NodeState.EXPIRED}), None)
        if failed is not None:
            executor = "" if failed.idle else failed.executor
            message = _failure(dag_id, failed.name, failed.state, reasons.get(failed.id, ""), executor)
            self._is(DocumentState.FAILED, message, dag_id=dag_id)
        elif any(node.state is NodeState.CANCELLED for node in nodes):
            if self.cancel:
                # By us: the database is asked whether that holds.
                return True
            self._is(DocumentState.CANCELLED, f"DAG {dag_id} was cancelled in Marie.", dag_id=dag_id)
        return not self.followed

    def _vanished(self, now: float) -> None:
        """Marie no longer knows the DAG: after SETTLE that is no accident."""
        self.unfinished = None
        if self.unseen_since is None:
            self.unseen_since = now
        elif self.missing(now):
            dag_id = self.view.dag_id
            message = f"Marie no longer knows DAG {dag_id}; its database may have been replaced."
            self._is(DocumentState.FAILED, message, dag_id=dag_id)


def _failure(dag_id: str, name: str, state: str, reason: str, executor: str = "") -> str:
    """What is said of a document whose task failed."""
    task = f"Task {name!r}" if name else "Task"
    if reason:
        return f"{task} of DAG {dag_id} {state} in Marie: {reason.rstrip('.')}."
    where = f"the logs of the gateway and of executor {executor}" if executor else "the gateway's log"
    return f"{task} of DAG {dag_id} {state} in Marie, whose HTTP API does not say why; see {where}."
