"""A document as a job says it is to be brought to Marie, and what the job hears of it."""

from dataclasses import dataclass
from enum import StrEnum

from marie_operator.marie.client import Submission


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
    CANCELLING = "Cancelling"
    """Cancelled in Marie's database; that this holds is not seen yet, and an executor may have it in hand."""
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
        cancel: It is not wanted any more: Marie's database is to say that it is cancelled.
        awaited: Another process is about to submit it, or may be: that Marie does not have it yet says nothing.
        withheld: It is not where Marie would read it, and is not to be submitted yet.
    """

    ref_id: str
    submission: Submission
    attempt: int = 0
    dag_id: str = ""
    fresh: bool = False
    cancel: bool = False
    awaited: bool = False
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class DocumentView:
    """What is known of a document.

    Attributes:
        state: Where it is.
        dag_id: Its DAG; empty until confirmed.
        message: Why, as a sentence, where there is more to say.
        taken_up: Whether Marie had forgotten it at work when its gateway ended, and was told by its database to go on.
        repeated: Whether it was submitted again although Marie could not tell whether it had it: the list of what it
            has completed was too long to be read.
    """

    state: DocumentState
    dag_id: str = ""
    message: str = ""
    repeated: bool = False
    taken_up: bool = False
