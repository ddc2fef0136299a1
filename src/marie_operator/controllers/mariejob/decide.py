"""The decision about a job: a pure function of the job and of what was seen."""

from dataclasses import replace
from datetime import datetime, timedelta

from marie_operator.api.conditions import JobCondition
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import DocumentInFlight, JobDocuments, MarieJob
from marie_operator.builders import endpoints
from marie_operator.builders import submitter as building
from marie_operator.builders.association import HTTP
from marie_operator.controllers.conditions import condition, is_true
from marie_operator.controllers.mariejob import (
    batch,
    imports,
    obstacles,
    own_cluster,
    submitter,
    summary,
)
from marie_operator.controllers.mariejob.buckets import Folder
from marie_operator.controllers.mariejob.conditions import is_finished
from marie_operator.controllers.mariejob.course import MOST_CANCELLING, Course
from marie_operator.controllers.mariejob.deadlines import Deadlines, Overrun
from marie_operator.controllers.mariejob.decision import Decision
from marie_operator.controllers.mariejob.delivery import DeliveryRequest
from marie_operator.controllers.mariejob.ending import retire
from marie_operator.controllers.mariejob.handover import Handover
from marie_operator.controllers.mariejob.imports import NOT_SUBMITTED, ImportRequest
from marie_operator.controllers.mariejob.line import Claim
from marie_operator.controllers.mariejob.observation import Observation, Obstacle
from marie_operator.controllers.mariejob.plan import FlawError, Plan
from marie_operator.controllers.mariejob.source import FailedOf, Inline, Prefix, Several, SingleDocument, scheme_of
from marie_operator.controllers.mariejob.store import ListRequest, Page, documents_in
from marie_operator.controllers.mariejob.submission import Terms
from marie_operator.marie.errand import Errand
from marie_operator.marie.gateways import Ticket

_LEAST_WAIT = timedelta(seconds=5)
_MOST_WAIT = timedelta(seconds=30)


def decide(job: MarieJob, seen: Observation) -> Decision:
    """What to do about ``job``.

    Pure, and idempotent: once its status is written, deciding again on the same observation changes nothing.
    """
    if is_finished(job.status):
        return retire(job, seen.now, seen.own, seen.submitter)
    if own_cluster.is_halted(job, seen.own):
        halted = job.model_copy(update={"spec": job.spec.model_copy(update={"suspend": True})})
        decision = _decide(halted, replace(seen, resuming=not job.spec.suspend))
    else:
        decision = _decide(job, seen)
    if is_finished(decision.status):
        # Nothing else will call for the job once its end is written.
        rest = retire(job.model_copy(update={"status": decision.status}), seen.now, seen.own, seen.submitter)
        due = rest.own or rest.submitter or rest.expired
        return replace(decision, requeue_after=0.0 if due else rest.requeue_after)
    return decision


def _decide(job: MarieJob, seen: Observation) -> Decision:
    now = seen.now.replace(microsecond=0)
    flaw: Obstacle | None = None
    try:
        plan = Plan.of(job)
    except FlawError as error:
        if not batch.is_begun(job.status.documents or JobDocuments()):
            return summary.flawed(job, error, now)
        plan, flaw = Plan.held(job), obstacles.of_flaw(error)
    start = _start(job, now)
    deadlines = Deadlines.of(plan, None if job.spec.suspend else start)
    overrun = deadlines.overrun(now, job.spec)
    course = _course(job, seen, plan, start=start, deadlines=deadlines, now=now, overrun=overrun, flaw=flaw)
    if (end := _end(course, overrun)) is not None:
        return end if is_finished(end.status) else _giving_up(course, end)
    status = summary.going(course)
    return Decision(
        status=status,
        tickets=_tickets(course),
        submits=not (job.spec.suspend or course.flawed),
        listing=_listing(course),
        delivery=_delivery(course),
        importing=_importing(course),
        clearing=_clearing(course),
        failures=course.failures,
        events=summary.events(course, status),
        requeue_after=_requeue_after(course),
        # A cluster's spec may be what is flawed; to go, it needs none.
        own=own_cluster.step(job, seen.own) if job.spec.suspend or not course.flawed else None,
        submitter=_submitter(course),
    )


def _giving_up(course: Course, decision: Decision) -> Decision:
    """What is done about a job that is given up until its documents are cancelled."""
    until = course.giving_up_until or course.now
    return replace(
        decision,
        tickets=_tickets(course, ends=True),
        submits=False,
        submitter=_dismissal(course, "the job is given up"),
        delivery=_delivery(course),
        requeue_after=(until - course.seen.now).total_seconds(),
    )


def _end(course: Course, overrun: Overrun | None) -> Decision | None:
    """The last decision about a job, or the one that it is given up, if it has come to that."""
    end: Decision | None = None
    if course.documents.total == 0:
        end = summary.empty(course)
    elif course.exceeded:
        end = summary.exceeded(course)
    elif batch.is_done(course.documents):
        # With its results there, a job is not late for the sake of a manifest.
        over = course.handover.is_closed and not _clears(course)
        end = summary.done(course) if over or overrun is not None else None
    elif course.handover.given_up:
        end = summary.undelivered(course)
    elif overrun is not None:
        end = summary.overdue(course, overrun)
    return end


def leave(job: MarieJob, seen: Observation) -> Decision:
    """What to do about a job that is being deleted: take back what Marie has of it, within a bounded time."""
    now = seen.now.replace(microsecond=0)
    deleted = job.metadata.deletion_timestamp or now
    left = (deleted + MOST_CANCELLING - now).total_seconds()
    plan = Plan.held(job)
    settled = batch.settle(_rehomed(job, seen), seen.documents, now)
    course = taking_back(
        Course(job, seen, plan, now, job.status.start_time, Deadlines(), settled, Handover(), settled.documents, None)
    )
    if left <= 0 or not course.at_marie or seen.database is None:
        return Decision(job.status, released=True, events=summary.departure(course))
    return Decision(
        summary.leaving(course),
        tickets=_tickets(course, ends=True),
        submits=False,
        submitter=_dismissal(course, "the job is deleted"),
        requeue_after=left,
    )


def _clears(course: Course) -> bool:
    """Whether documents are being taken away that were put where Marie reads from."""
    return _clearing(course) is not None and course.seen.cleared is None


def _clearing(course: Course) -> Folder | None:
    """What is to be taken away of what was put where Marie reads from."""
    staged = course.seen.staged
    return staged if isinstance(staged, Folder) and batch.is_done(course.documents) else None


def _importing(course: Course) -> ImportRequest | None:
    """What is to be where Marie reads from of the documents in flight, and is in another cloud."""
    seen = course.seen
    foreign = [document for document in course.followed if _is_foreign(document)]
    if not isinstance(seen.staged, Folder) or isinstance(seen.credentials, Obstacle) or seen.scheme == "s3":
        return None
    source = documents_in("", seen.scheme, seen.credentials)
    due = [] if course.suspended or course.flawed else [document for document in foreign if _is_due(course, document)]
    return ImportRequest(
        source,
        seen.staged,
        wanted={document.ref_id: document.uri for document in due},
        kept=frozenset(document.ref_id for document in foreign),
    )


def _is_foreign(document: DocumentInFlight) -> bool:
    """Whether Marie cannot read a document where it is."""
    return scheme_of(document.uri) != "s3"


def _is_due(course: Course, document: DocumentInFlight) -> bool:
    """Whether a document is about to be submitted, as far as is known."""
    if document.dag_id or document.cancelling:
        return False
    if course.seen.submitter is not None:
        return not course.seen.submitter.uid
    view = course.seen.documents.get(document.ref_id)
    return view is not None and view.state in NOT_SUBMITTED


def _start(job: MarieJob, now: datetime) -> datetime | None:
    """When the deadlines begin to count: at first sight, and again at each resumption, as for a batch/v1 Job."""
    resumed = not job.spec.suspend and is_true(job.status, JobCondition.SUSPENDED)
    if job.status.start_time is None or resumed:
        return None if job.spec.suspend else now
    return job.status.start_time


def _course(
    job: MarieJob,
    seen: Observation,
    plan: Plan,
    *,
    start: datetime | None,
    deadlines: Deadlines,
    now: datetime,
    overrun: Overrun | None,
    flaw: Obstacle | None,
) -> Course:
    """Take in what Marie says of the documents in flight and, unless the job is halted, put more in flight."""
    # What Marie does not have, it has no results of.
    hearsay = submitter.is_hearsay(seen.documents, seen.submitter)
    handover = Handover() if hearsay else Handover.of(job, plan, seen, now, flaw)
    views = imports.judged(submitter.judged(seen.documents, seen.submitter), seen.imported.missing)
    settled = batch.settle(_rehomed(job, seen), views, now, handover.outcome)
    documents = settled.documents
    if seen.own is not None and (job.spec.suspend or not seen.own.stays):
        documents = own_cluster.begun_anew(documents)
    halted = job.spec.suspend or overrun is not None or batch.is_exceeded(job, plan, documents)
    unreachable = obstacles.of_cluster(seen)
    blocked = unreachable or flaw or obstacles.of_submission(job, seen) or obstacles.of_results(seen)
    blocked = blocked or obstacles.of_staging(seen)
    turn = None
    if not halted and blocked is None:
        turn = seen.line.turn(Claim.of(job, documents, stuck=False), seen.now)
        page = seen.listing if isinstance(seen.listing, Page) else None
        admitted = batch.admit(job, plan, batch.release(documents, now), page, room=turn.room, now=now)
        # What may fail may be known only now, and be exceeded already: then nothing more goes into flight.
        exceeded = batch.is_exceeded(job, plan, admitted)
        documents = documents.model_copy(update={"total": admitted.total}) if exceeded else admitted
    course = Course(job, seen, plan, now, start, deadlines, settled, handover, documents, unreachable, turn)
    if halted:
        course = taking_back(course)
    if flaw is not None:
        return replace(course, obstacle=flaw, flawed=True)
    if unreachable is not None or not course.needs_submission:
        return course
    if turn is not None and (queued := obstacles.of_turn(documents, seen, turn)) is not None:
        return replace(course, obstacle=queued)
    several = not isinstance(plan.source, SingleDocument)
    listing = obstacles.of_listing(seen) if several and not batch.is_listed(documents) else None
    importing = obstacles.of_import(seen) if any(map(_is_foreign, documents.in_flight)) else None
    return replace(course, obstacle=blocked or listing or importing)


def taking_back(course: Course) -> Course:
    """With what Marie has of a job that is to stop taken back, if its database can be used."""
    if not course.withdraws:
        return course
    unwanted = {document.ref_id for document in course.at_marie}
    return replace(course, documents=batch.take_back(course.documents, unwanted))


def _rehomed(job: MarieJob, seen: Observation) -> MarieJob:
    """A job whose cluster was replaced by another that it selects: the new one knows none of its DAGs."""
    old = job.status.cluster_name
    if not old or seen.own is not None or isinstance(seen.cluster, Obstacle) or seen.cluster.metadata.name == old:
        return job
    documents = job.status.documents or JobDocuments()
    in_flight = tuple(
        document.model_copy(update={"dag_id": "", "cancelling": None}) for document in documents.in_flight
    )
    status = job.status.model_copy(update={"documents": documents.model_copy(update={"in_flight": in_flight})})
    return job.model_copy(update={"status": status})


def _tickets(course: Course, *, ends: bool = False) -> tuple[Ticket, ...]:
    """The documents to follow: fresh where this decision puts them in flight.

    Args:
        course: Where the job stands.
        ends: Whether it is to submit nothing more.
    """
    if not isinstance(course.seen.cluster, MarieCluster) or (course.suspended and course.seen.own is not None):
        return ()
    before = course.job.status.documents or JobDocuments()
    sent = {document.ref_id for document in before.in_flight if document.not_before is None}
    start, found = course.start or course.now, course.seen.submitter
    # A submitter Job may submit at any moment if it works, or is about to be made.
    awaited = found is not None and not found.has_ended and (found.works or not (ends or course.suspended))
    terms = Terms.of(course.job, course.plan, start)
    return tuple(
        terms.ticket(
            document,
            fresh=document.ref_id not in sent and course.seen.submitter is None,
            cancel=bool(document.cancelling) and course.seen.database is not None,
            awaited=awaited,
            staged=_staged(course, document),
            withheld=_is_withheld(course, document),
        )
        for document in course.followed
    )


def _is_withheld(course: Course, document: DocumentInFlight) -> bool:
    """Whether a document is not yet where Marie would read it."""
    return _is_foreign(document) and document.ref_id not in course.seen.imported.there


def _staged(course: Course, document: DocumentInFlight) -> Folder | None:
    """Where Marie reads a document that it cannot read where it is."""
    staged = course.seen.staged
    return staged if _is_foreign(document) and isinstance(staged, Folder) else None


def _dismissal(course: Course, why: str) -> submitter.Dismiss | None:
    """Whether the submitter of a job that is to submit nothing more is to go."""
    found, in_flight = course.seen.submitter, course.documents.in_flight
    return submitter.dismissal(course.job, found, in_flight[0], why) if found is not None and in_flight else None


def _submitter(course: Course) -> submitter.Step | None:
    """What is to become of the submitter Job, once the intent is written."""
    found, in_flight = course.seen.submitter, course.documents.in_flight
    if found is None or not in_flight or (course.flawed and not course.suspended):
        return None
    document = in_flight[0]
    if course.suspended:
        return _dismissal(course, "spec.suspend of the job")
    cluster, key = course.seen.cluster, course.seen.api_key
    if found.uid or document.dag_id or document.not_before is not None:
        return None
    if not isinstance(cluster, MarieCluster) or isinstance(key, Obstacle) or _is_withheld(course, document):
        return None
    image = course.seen.submitter_image
    if obstacles.of_cluster(course.seen) or not building.image(course.job, image):
        return None
    terms = Terms.of(course.job, course.plan, course.start or course.now)
    asked = terms.submission(document, _staged(course, document))
    errand = Errand(endpoints.of(cluster)[HTTP], document.ref_id, asked)
    return submitter.Launch(
        building.manifest(
            course.job,
            attempt=document.attempt,
            cluster=cluster.metadata.name,
            environment=errand.environment(),
            api_key=obstacles.reference(cluster),
            own_image=image,
        )
    )


def _listing(course: Course) -> ListRequest | None:
    source, seen = course.plan.source, course.seen
    if isinstance(source, SingleDocument) or course.suspended or course.flawed:
        return None
    if isinstance(seen.credentials, Obstacle):
        return None
    if obstacles.of_cluster(seen) or obstacles.of_submission(course.job, seen) or course.queued:
        return None
    if batch.is_listed(course.documents):
        return None
    known = _located(source, seen)
    own = seen.credentials if isinstance(source, Prefix) else None
    return ListRequest(known, course.documents.cursor, own) if known is not None else None


def _located(source: Several, seen: Observation) -> Several | None:
    """A source with what is known of where its documents are; None before it is enough."""
    match source:
        case Inline():
            return replace(source, store=seen.staged.bucket) if isinstance(seen.staged, Folder) else None
        case FailedOf():
            return seen.failed if isinstance(seen.failed, FailedOf) else None
        case Prefix():
            return source


def _delivery(course: Course) -> DeliveryRequest | None:
    """What is to be copied of what Marie stored. Once all documents have left the status, the manifest is closed."""
    before = course.job.status.documents or JobDocuments()
    closing = before.listed if batch.is_done(before) else None
    return course.handover.request(course.job, course.plan, course.settled.ended, closing=closing)


def _requeue_after(course: Course) -> float | None:
    """Seconds until a deadline, another attempt, or another look at an obstacle that does not announce its end."""
    times = [course.deadlines.next(course.now), course.handover.patience_ends]
    if batch.is_done(course.documents) and not batch.is_done(course.job.status.documents or JobDocuments()):
        # The manifest can be closed once this is written.
        times.append(course.now)
    if course.handover.obstacle is not None:
        # A Secret that is corrected announces itself to nobody.
        times.append(course.now + _MOST_WAIT)
    if course.queued:
        # Its turn announces itself; its place among those that wait does not, and matters less the farther back it is.
        times.append(course.now + _MOST_WAIT + timedelta(seconds=course.queue_position or 0))
    elif course.obstacle is not None and not course.suspended:
        since = condition(course.job.status, JobCondition.SUBMITTED)
        waited = course.now - since.last_transition_time if since is not None else timedelta(0)
        times.append(course.now + min(max(waited, _LEAST_WAIT), _MOST_WAIT))
    elif not course.suspended:
        times.extend(document.not_before for document in course.documents.in_flight)
    wake = min((time for time in times if time is not None), default=None)
    return None if wake is None else max(0.0, (wake - course.seen.now).total_seconds())
