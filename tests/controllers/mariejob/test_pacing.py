"""What is written at once, and what can wait a few seconds."""

import pytest

from marie_operator.api.mariejob import JobDocuments, MarieJob
from marie_operator.controllers.mariejob.decide import decide
from marie_operator.controllers.mariejob.pacing import STEP, Pace
from tests.controllers.mariejob.clock import TurnedClock
from tests.controllers.mariejob.samples import job, page, seen


def begun(window: int) -> MarieJob:
    subject = job(batch={"maxInFlight": window})
    return subject.model_copy(update={"status": decide(subject, seen(listing=page("a", "b", last=False))).status})


def moved(subject: MarieJob, *, succeeded: int = 0, listed: int = 0) -> MarieJob:
    documents = subject.status.documents or JobDocuments()
    more = {"succeeded": documents.succeeded + succeeded, "listed": documents.listed + listed}
    status = subject.status.model_copy(update={"documents": documents.model_copy(update=more)})
    return subject.model_copy(update={"status": status})


@pytest.mark.parametrize(("window", "few"), [(200, 9), (1000, 249)])
def test_counts_alone_wait_for_the_next_step(window: int, few: int) -> None:
    clock, subject = TurnedClock(), begun(window)
    pace = Pace(clock)
    pace.wrote(subject)
    clock.wait(1)
    assert pace.wait(subject, moved(subject, succeeded=few, listed=few).status) == STEP - 1
    assert pace.wait(subject, moved(subject, succeeded=few + 1).status) == 0
    assert pace.wait(subject, moved(subject, listed=few + 1).status) == 0
    clock.wait(STEP - 1)
    assert pace.wait(subject, moved(subject, succeeded=few).status) == 0


def test_in_a_small_window_each_document_counts() -> None:
    subject = begun(10)
    pace = Pace(TurnedClock())
    pace.wrote(subject)
    assert pace.wait(subject, moved(subject, succeeded=1).status) == 0


def test_a_transition_does_not_wait() -> None:
    subject = begun(1000)
    pace = Pace(TurnedClock())
    pace.wrote(subject)
    running = subject.status.model_copy(update={"phase": "Running"})
    assert pace.wait(subject, running) == 0
    suspended = decide(
        subject.model_copy(update={"spec": subject.spec.model_copy(update={"suspend": True})}), seen()
    ).status
    assert pace.wait(subject, suspended) == 0


def test_the_first_step_of_a_process_does_not_wait() -> None:
    subject = begun(1000)
    assert Pace(TurnedClock()).wait(subject, moved(subject, succeeded=1).status) == 0


def test_what_is_as_it_was_does_not_wait() -> None:
    subject = begun(1000)
    pace = Pace(TurnedClock())
    pace.wrote(subject)
    assert pace.wait(subject, subject.status) == 0
