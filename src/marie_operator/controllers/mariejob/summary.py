"""The status that describes where a job stands, and the events that tell of its changes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from marie_operator.api import duration
from marie_operator.api.conditions import EventReason, JobCondition, JobReason
from marie_operator.api.mariejob import JobDocuments, JobError, JobPhase, JobResult, MarieJob, MarieJobStatus
from marie_operator.api.meta import Condition
from marie_operator.builders import submitter as building
from marie_operator.controllers import custody
from marie_operator.controllers.conditions import condition, is_true
from marie_operator.controllers.mariejob import batch, sentences
from marie_operator.controllers.mariejob.course import Course
from marie_operator.controllers.mariejob.deadlines import Overrun
from marie_operator.controllers.mariejob.decision import Decision, Occurrence
from marie_operator.controllers.mariejob.plan import FlawError
from marie_operator.controllers.mariejob.source import Inline, SingleDocument
from marie_operator.runtime.conditions import with_condition


class Verdict(NamedTuple):
    """A condition's status with its reason and sentence."""

    status: bool
    reason: JobReason
    message: str


# Conditions whose reasons tell of nothing going wrong, and need no event of type Warning.
_CALM = frozenset(
    {
        JobReason.CLUSTER_STARTING,
        JobReason.SUBMITTING,
        JobReason.QUEUED,
        JobReason.SUBMITTED,
        JobReason.SUCCEEDED,
        JobReason.SUSPENDING,
        JobReason.SUSPENDED,
        JobReason.NOT_SUSPENDED,
        JobReason.PAUSED,
        JobReason.NOT_PAUSED,
        JobReason.NOT_GIVEN_UP,
        JobReason.WITHIN_DEADLINE,
        JobReason.COPYING,
        JobReason.COPIED,
    }
)
# Of these, the ones a user need not be told.
_SILENT = frozenset(
    {
        JobReason.CLUSTER_STARTING,
        JobReason.SUBMITTING,
        JobReason.WITHIN_DEADLINE,
        JobReason.COPYING,
        JobReason.COPIED,
    }
)
# Where an event has a word of its own for the turn that a condition took.
_EVENTS: Mapping[str, str] = {JobReason.NOT_SUSPENDED: EventReason.RESUMED}


def halted(job: MarieJob, now: datetime) -> MarieJobStatus:
    """The status of a job that is paused: as it was, with the pause told."""
    how = f"Annotation {custody.PAUSE} is {custody.PAUSED}: the operator does nothing for the job. Remove it to go on."
    verdict = Verdict(True, JobReason.PAUSED, how)
    conditions = _conditions(job, {JobCondition.PAUSED: verdict}, now.replace(microsecond=0))
    return job.status.model_copy(update={"conditions": conditions, "message": how})


def going(course: Course) -> MarieJobStatus:
    """The status of a job that is not at its end."""
    return _status(course, _phase(course), sentences.progress(course), _verdicts(course))


def done(course: Course) -> Decision:
    """Every document has come to its end."""
    documents = course.documents
    left = sentences.left(course)
    if not documents.failed:
        results = sentences.hearsay(course) if course.is_hearsay else sentences.results(course)
        message = f"{_all(documents)} succeeded. {results}{left}"
        verdict = Verdict(True, JobReason.SUCCEEDED, message)
        return _end(course, "Succeeded", JobCondition.COMPLETE, verdict)
    if isinstance(course.plan.source, SingleDocument):
        return _failed(course)
    failed = f"{documents.failed} of {sentences.count(documents.listed)} failed"
    results = f" {sentences.results(course)}" if documents.succeeded else ""
    if batch.tolerated(course.job, documents) is None:
        message = f"{failed}, {sentences.failures_told(course)}{results}{left}"
        return _end(course, "Failed", JobCondition.FAILED, Verdict(True, JobReason.DOCUMENTS_FAILED, message))
    message = (
        f"{failed}, which {sentences.limit(course.job)} tolerates, {sentences.failures_told(course)}{results}{left}"
    )
    return _end(course, "Succeeded", JobCondition.COMPLETE, Verdict(True, JobReason.FAILURES_TOLERATED, message))


def exceeded(course: Course) -> Decision:
    """More documents have failed than may: the rest is not tried."""
    number = sentences.count(course.documents.failed)
    message = (
        f"The job is given up, since {number} failed and {sentences.limit(course.job)} tolerates no more, "
        f"{sentences.failures_told(course)} It had come so far: {sentences.standing(course)}."
    )
    return _abandon(course, JobReason.TOO_MANY_FAILED, message)


def _failed(course: Course) -> Decision:
    """The only document has failed for good."""
    failure, settled = course.documents.failures[-1], course.settled
    phase: JobPhase = "Failed"
    reason, advice = JobReason.DOCUMENTS_FAILED, "Correct the cause, and make a new job."
    if settled.cancelled:
        phase, reason, advice = "Cancelled", JobReason.CANCELLED, "Make a new job to process it."
    elif settled.refused:
        reason = JobReason.SUBMISSION_REFUSED
    verdict = Verdict(True, reason, f"{failure.uri} has no result: {failure.message} {advice}")
    return _end(course, phase, JobCondition.FAILED, verdict)


def empty(course: Course) -> Decision:
    """There is nothing under the prefix."""
    uri, filtered = course.job.spec.input.uri, course.documents.filtered
    if other := course.job.spec.input.failed_of:
        message = f"MarieJob {other} ended without a failed document: there is nothing to try again."
    elif isinstance(course.plan.source, Inline):
        message = f"{course.plan.source.uri} holds no documents. Put them there, and make the job again."
    elif filtered:
        message = (
            f"spec.input.include and exclude leave nothing of the {sentences.count(filtered)} under {uri}: their globs "
            "match keys without the prefix. Make the job again with others."
        )
    else:
        message = (
            f"There are no documents under {uri}. "
            "Upload them and make the job again, or make one with another spec.input.uri."
        )
    return _end(course, "Failed", JobCondition.FAILED, Verdict(True, JobReason.NO_DOCUMENTS, message))


def overdue(course: Course, overrun: Overrun) -> Decision:
    """A deadline has passed that ends the job."""
    return _abandon(course, overrun.reason, f"The job did not end within {overrun.what}: {sentences.standing(course)}.")


def undelivered(course: Course) -> Decision:
    """Results could not be copied for too long."""
    why = course.handover.obstacle.message if course.handover.obstacle is not None else ""
    message = (
        f"The job is given up, since no result could be copied to {course.job.spec.output.uri} for an hour: {why} "
        f"What documents in flight have for results is where Marie stored it, by default under "
        f"{sentences.results_uri(course.job)}. It had come so far: {sentences.standing(course)}."
    )
    return _abandon(course, JobReason.RESULTS_NOT_COPIED, message)


def _abandon(course: Course, reason: JobReason, message: str) -> Decision:
    """The job is given up: what Marie has is cancelled first where that can be done, or runs on, which is told."""
    if course.giving_up_until is not None:
        target = {**_verdicts(course), JobCondition.FAILURE_TARGET: Verdict(True, reason, message)}
        status = _status(course, _phase(course), f"{message} {sentences.being_taken_back(course)}", target)
        return Decision(status, failures=course.failures, events=events(course, status))
    running, taken = sentences.running_on(course), batch.taken_back(course.documents)
    message = f"{message}{sentences.left(course)}"
    told = [sentences.taken_back(taken)] if taken else []
    verdict = Verdict(True, reason, " ".join([message, *told, *([running] if running else [])]))
    more = [Occurrence("Normal", EventReason.TAKEN_BACK, sentence) for sentence in told]
    more += [Occurrence("Warning", EventReason.STILL_RUNNING, running)] if running else []
    return _end(course, "Failed", JobCondition.FAILED, verdict, tuple(more))


def leaving(course: Course) -> MarieJobStatus:
    """The status of a job that is being deleted while Marie has documents of it."""
    return course.job.status.model_copy(update={"documents": course.documents, "message": sentences.leaving(course)})


def departure(course: Course) -> tuple[Occurrence, ...]:
    """What to tell of the documents of a job that is gone."""
    told = []
    if running := sentences.running_on(course):
        told.append(Occurrence("Warning", EventReason.STILL_RUNNING, f"The job is deleted. {running}"))
    if taken := batch.taken_back(course.documents):
        note = f"The job is deleted. {sentences.taken_back(taken)}"
        told.append(Occurrence("Normal", EventReason.TAKEN_BACK, note))
    return tuple(told)


def flawed(job: MarieJob, flaw: FlawError, now: datetime) -> Decision:
    """The spec cannot be carried out, and nothing has come of it yet."""
    again = "A failed job is not taken up again: correct it, delete this job and make it anew."
    verdict = Verdict(True, flaw.reason, f"{flaw} {again}")
    status = job.status.model_copy(
        update={
            "phase": "Failed",
            "message": verdict.message,
            "observed_generation": job.metadata.generation,
            "start_time": job.status.start_time or now,
            "completion_time": now,
            "error": JobError(code=flaw.reason, message=verdict.message),
            "conditions": _conditions(job, {**_closed(job, verdict), JobCondition.FAILED: verdict}, now),
        }
    )
    return Decision(status, events=transitions(job, status))


def events(course: Course, status: MarieJobStatus) -> tuple[Occurrence, ...]:
    """What to tell the user of the step from the job's old status to the new one."""
    told: list[Occurrence] = []
    settled = course.settled
    if settled.retried:
        document, why = settled.retried[0]
        again = sentences.time(document.not_before or course.now)
        note = f"{document.uri} failed: {why} It is submitted again at {again}."
        told.append(Occurrence("Warning", EventReason.DOCUMENT_RETRIED, note + _and_more(len(settled.retried))))
    if settled.failed and not isinstance(course.plan.source, SingleDocument):
        note = f"{settled.failed[0].uri} failed for good: {settled.failed[0].message}"
        told.append(Occurrence("Warning", EventReason.DOCUMENT_FAILED, note + _and_more(len(settled.failed))))
    if course.seen.rivals:
        told.append(Occurrence("Warning", EventReason.SEVERAL_CLUSTERS_MATCH, sentences.chosen(course)))
    if course.job.status.observed_generation != status.observed_generation:
        told += [
            Occurrence("Warning", JobReason.UNSUPPORTED, ignored)
            for ignored in sentences.without_effect(course.job.spec)
        ]
    return (*told, *transitions(course.job, status))


def _and_more(total: int) -> str:
    return f" So did {sentences.count(total - 1, 'other')}." if total > 1 else ""


def transitions(job: MarieJob, status: MarieJobStatus) -> tuple[Occurrence, ...]:
    """One event for each condition whose status or reason changed."""
    before = {old.type: (old.status, old.reason) for old in job.status.conditions}
    told = (
        Occurrence("Normal" if new.reason in _CALM else "Warning", _EVENTS.get(new.reason, new.reason), new.message)
        for new in status.conditions
        if before.get(new.type) != (new.status, new.reason) and new.reason not in _SILENT
    )
    return tuple(dict.fromkeys(told))


def _end(
    course: Course, phase: JobPhase, kind: JobCondition, verdict: Verdict, more: tuple[Occurrence, ...] = ()
) -> Decision:
    """The last decision: the status gets its result and its times, nothing is followed any more."""
    verdicts = {**_closed(course.job, verdict), **_at_end(course, verdict), kind: verdict}
    if kind == JobCondition.COMPLETE and is_true(course.job.status, JobCondition.FAILURE_TARGET):
        verdicts[JobCondition.FAILURE_TARGET] = _not_given_up()
    ended = _status(course, phase, verdict.message, verdicts)
    start = course.start or course.now
    failed = kind == JobCondition.FAILED
    status = ended.model_copy(
        update={
            "completion_time": course.now,
            "duration": duration.text(course.now - start),
            "start_time": start,
            "result": _result(course),
            "error": JobError(code=verdict.reason, message=verdict.message) if failed else None,
        }
    )
    return Decision(status, failures=course.failures, events=(*events(course, status), *more))


def _result(course: Course) -> JobResult:
    totals = course.handover.outcome.totals if course.handover.outcome is not None else None
    return JobResult(
        document_count=course.documents.succeeded,
        output_uri=sentences.output_uri(course) if course.documents.succeeded and not course.is_hearsay else "",
        manifest_uri=sentences.manifest_uri(course),
        summary={"results": str(totals.results)} if totals is not None else {},
    )


def _status(course: Course, phase: JobPhase, message: str, verdicts: Mapping[JobCondition, Verdict]) -> MarieJobStatus:
    documents, old = course.documents, course.job.status
    dag_id = _dag_id(course) if isinstance(course.plan.source, SingleDocument) else ""
    # With its own cluster, a job loses the work that it was told of.
    known = ("", "") if course.seen.own is not None and documents.in_flight else (old.job_id, old.dag_id)
    return old.model_copy(
        update={
            "phase": phase,
            "message": message,
            "observed_generation": course.job.metadata.generation,
            "cluster_name": course.cluster_name,
            "job_id": dag_id or known[0],
            "dag_id": dag_id or known[1],
            "progress": _percent(documents),
            "documents": documents,
            "queue_position": course.queue_position,
            "submitter_job_name": _submitter(course),
            "retry_count": (old.retry_count or 0) + len(course.settled.retried),
            "start_time": course.start,
            "conditions": _conditions(course.job, verdicts, course.now),
        }
    )


def _dag_id(course: Course) -> str:
    """Marie's id of the work on a single document; it may come with its end, when it is in flight no more."""
    before = course.job.status.documents or JobDocuments()
    document = next(iter(course.documents.in_flight or before.in_flight), None)
    if document is None:
        return ""
    view = course.seen.documents.get(document.ref_id)
    return document.dag_id or (view.dag_id if view is not None else "")


def _submitter(course: Course) -> str:
    """The submitter Job of the last attempt that was made at the document."""
    in_flight = course.documents.in_flight
    if course.seen.submitter is None or not in_flight or in_flight[0].not_before is not None:
        return course.job.status.submitter_job_name
    return building.name(course.job, in_flight[0].attempt)


def _percent(documents: JobDocuments) -> int | None:
    """Documents that ended, in hundredths of all; unknown while the prefix is not listed to its end."""
    if not documents.total:
        return None
    return 100 * (documents.succeeded + documents.failed) // documents.total


def _phase(course: Course) -> JobPhase:
    if course.suspended and not course.at_marie:
        return "Pending"
    if course.running:
        return "Running"
    return "Initializing" if course.documents.listed or course.obstacle is None else "Pending"


def _verdicts(course: Course) -> dict[JobCondition, Verdict]:
    verdicts = {JobCondition.SUBMITTED: _submitted(course)}
    if course.suspended:
        reason = JobReason.SUSPENDING if course.suspending else JobReason.SUSPENDED
        verdicts[JobCondition.SUSPENDED] = Verdict(True, reason, sentences.paused(course))
    elif condition(course.job.status, JobCondition.SUSPENDED) is not None:
        verdicts[JobCondition.SUSPENDED] = Verdict(
            False, JobReason.NOT_SUSPENDED, "The job is not suspended; it goes on."
        )
    if is_true(course.job.status, JobCondition.PAUSED):
        verdicts[JobCondition.PAUSED] = Verdict(False, JobReason.NOT_PAUSED, "The operator looks after the job.")
    if (late := _late(course)) is not None:
        verdicts[JobCondition.SLA_MISSED] = late
    if is_true(course.job.status, JobCondition.FAILURE_TARGET):
        verdicts[JobCondition.FAILURE_TARGET] = _not_given_up()
    if course.documents.listed and (copied := _copied(course)) is not None:
        verdicts[JobCondition.RESULTS_COPIED] = copied
    return verdicts


def _not_given_up() -> Verdict:
    return Verdict(False, JobReason.NOT_GIVEN_UP, "The job is not given up.")


def _copied(course: Course) -> Verdict | None:
    """How it stands with results that are to be copied."""
    handover = course.handover
    if handover.unknown:
        return Verdict(False, JobReason.OBJECT_STORE_UNKNOWN, handover.unknown)
    if handover.obstacle is not None:
        return Verdict(False, handover.obstacle.reason, handover.obstacle.message)
    if handover.route is None:
        return None
    return Verdict(False, JobReason.COPYING, f"Results are copied to {course.job.spec.output.uri} as documents end.")


def _copied_at_end(course: Course) -> Verdict | None:
    """What became of results by the end of the job."""
    if course.handover.route is None:
        return _copied(course) if course.documents.listed else None
    if batch.is_done(course.documents):
        return Verdict(True, JobReason.COPIED, sentences.copied(course))
    return None


def _submitted(course: Course) -> Verdict:
    if course.obstacle is not None and (course.needs_submission or course.flawed) and not course.suspended:
        return Verdict(False, course.obstacle.reason, course.obstacle.message)
    if course.confirmed:
        return Verdict(True, JobReason.SUBMITTED, f"MarieCluster {course.cluster_name} takes the job's documents.")
    if course.suspended:
        reason = JobReason.SUSPENDING if course.suspending else JobReason.SUSPENDED
        return Verdict(False, reason, sentences.paused(course))
    return Verdict(False, JobReason.SUBMITTING, f"Documents are on their way to MarieCluster {course.cluster_name}.")


def _late(course: Course) -> Verdict | None:
    """Whether the soft deadline has passed. Once missed it stays so; while suspended nothing is judged."""
    old, soft = condition(course.job.status, JobCondition.SLA_MISSED), course.deadlines.soft
    if soft is None or (old is not None and old.status == "True"):
        return None
    at = sentences.time(soft)
    if soft <= course.now:
        message = f"The soft deadline {at} passed before the job ended. Add executors if this should not happen again."
        return Verdict(True, JobReason.SOFT_DEADLINE_EXCEEDED, message)
    if (near := course.deadlines.near) is not None and near <= course.now:
        message = f"The soft deadline {at} is near. Add executors, or expect the job to be late."
        return Verdict(False, JobReason.DEADLINE_NEAR, message)
    return Verdict(False, JobReason.WITHIN_DEADLINE, f"The soft deadline is {at}.")


def _at_end(course: Course, verdict: Verdict) -> dict[JobCondition, Verdict]:
    """How the other conditions stand when the job ends."""
    verdicts = {}
    if verdict.reason == JobReason.HARD_DEADLINE_EXCEEDED:
        verdicts[JobCondition.SLA_MISSED] = verdict
    elif (late := _late(course)) is not None:
        verdicts[JobCondition.SLA_MISSED] = late
    if course.confirmed and not course.needs_submission:
        verdicts[JobCondition.SUBMITTED] = _submitted(course)
    if (copied := _copied_at_end(course)) is not None:
        verdicts[JobCondition.RESULTS_COPIED] = copied
    return verdicts


def _closed(job: MarieJob, verdict: Verdict) -> dict[JobCondition, Verdict]:
    """Conditions that told what the job waits for, and that it would go on: now they tell why it does not."""
    waiting = {
        JobCondition.SUBMITTED: "False",
        JobCondition.RESULTS_COPIED: "False",
        JobCondition.SUSPENDED: "True",
        JobCondition.PAUSED: "True",
    }
    return {
        kind: Verdict(False, verdict.reason, verdict.message)
        for kind, status in waiting.items()
        if (old := condition(job.status, kind)) is not None and old.status == status
    }


def _all(documents: JobDocuments) -> str:
    return "The document" if documents.total == 1 else f"All {documents.total} documents"


def _conditions(job: MarieJob, verdicts: Mapping[JobCondition, Verdict], now: datetime) -> tuple[Condition, ...]:
    conditions: list[dict[str, Any]] = [
        old.model_dump(mode="json", by_alias=True, exclude_none=True) for old in job.status.conditions
    ]
    for kind, verdict in verdicts.items():
        conditions = with_condition(
            conditions,
            type=kind,
            status="True" if verdict.status else "False",
            reason=verdict.reason,
            message=verdict.message,
            generation=job.metadata.generation,
            now=now,
        )
    return tuple(Condition.model_validate(one) for one in conditions)
