"""What a job's status says to people."""

from collections.abc import Iterator
from datetime import datetime

from marie_operator.api.mariejob import JobDocuments, MarieJob, MarieJobSpec
from marie_operator.controllers.mariejob import batch, failures, refs
from marie_operator.controllers.mariejob.buckets import Folder
from marie_operator.controllers.mariejob.choice import labels
from marie_operator.controllers.mariejob.course import Course
from marie_operator.controllers.mariejob.source import STAGED, Inline, SingleDocument
from marie_operator.controllers.mariejob.submitter import SubmitterJob
from marie_operator.marie.gateways import DocumentState


def without_effect(spec: MarieJobSpec) -> Iterator[str]:
    """What a spec asks for that this version does not do, though the job can go on without it; a sentence for each."""
    if spec.shutdown_after_job_finishes and spec.cluster_spec is None:
        yield (
            "spec.shutdownAfterJobFinishes has no effect on a cluster that is not the job's own: it keeps running. "
            "Give spec.clusterSpec for a cluster that is made for the job and goes with it."
        )


def count(number: int, what: str = "document") -> str:
    """A number with its noun: "1 document", "3 documents"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def time(at: datetime) -> str:
    """A time as status has it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def chosen(course: Course) -> str:
    """Which cluster a job settled on, of several that it selects."""
    others = ", ".join(course.seen.rivals)
    also = "has" if len(course.seen.rivals) == 1 else "have"
    return (
        f"MarieCluster {course.cluster_name} is chosen; {others} {also} the labels {labels(course.job)} too. "
        "Set spec.clusterRef where it must be a certain one."
    )


def progress(course: Course) -> str:
    """How far the job is."""
    if course.suspended:
        return paused(course)
    if course.obstacle is not None:
        return _stuck(course)
    if batch.is_done(course.documents):
        rest = "What was put for Marie is taken away" if course.handover.is_closed else "The manifest is written"
        return f"{_counts(course.documents)} {rest}."
    if (stuck := course.handover.obstacle) is not None and course.settled.ended:
        return f"{stuck.message} {_counts(course.documents)}"
    if isinstance(course.plan.source, SingleDocument):
        return _one(course, course.plan.source)
    return _many(course)


def paused(course: Course) -> str:
    """What suspension means for the job right now."""
    resume = "Set spec.suspend to false to go on."
    if course.seen.own is not None:
        return _cluster_removed(course, resume)
    taken = f" {taken_back(number)}" if (number := batch.taken_back(course.documents)) else ""
    if at_marie := len(course.at_marie):
        goes_on = _being_taken_back(course) or f"{_at_marie(at_marie)} end{_unusable(course)}"
        return f"The job is suspended: nothing more is submitted; {goes_on}.{taken} {resume}"
    return f"The job is suspended: nothing is submitted.{taken} {resume}"


def _at_marie(number: int) -> str:
    return f"{count(number)} at Marie {'goes on to its' if number == 1 else 'go on to their'}"


def leaving(course: Course) -> str:
    """What a job that is being deleted waits for."""
    goes_on = _being_taken_back(course) or f"Marie's database is waited for{_unusable(course)}"
    return f"The job is deleted: {goes_on}."


def taken_back(number: int) -> str:
    """What became of documents that Marie does not have any more."""
    were = "was" if number == 1 else "were"
    return f"{count(number)} {were} cancelled in Marie's database."


def taken_up(number: int) -> str:
    """What became of documents that a gateway left behind."""
    were = "was" if number == 1 else "were"
    return (
        f"{count(number)} {were} at work when the gateway ended, and {were} set going again in Marie's database: "
        "Marie does not take up what it had given away."
    )


def being_taken_back(course: Course) -> str:
    """What a job that is given up waits for."""
    return f"{_being_taken_back(course)}."


def _being_taken_back(course: Course) -> str:
    """What is being cancelled; empty when nothing is."""
    if not (number := len(course.cancelling)) or not course.withdraws:
        return ""
    told = f"{count(number)} {'is' if number == 1 else 'are'} being cancelled in Marie's database"
    views = [course.seen.documents.get(document.ref_id) for document in course.cancelling]
    if cancelled := sum(view is not None and view.state is DocumentState.CANCELLING for view in views):
        told += f", and executors may still have {cancelled} in hand"
    return told


def _unusable(course: Course) -> str:
    """Why the database is of no help; empty when there is none, or it is one."""
    database = course.seen.database
    return f", since {database.problem}" if database is not None and database.problem else ""


def _cluster_removed(course: Course, resume: str) -> str:
    begin = "begins" if len(course.documents.in_flight) == 1 else "begin"
    lost = (
        f" {count(number)} that had not ended {begin} anew then." if (number := len(course.documents.in_flight)) else ""
    )
    if not course.suspending:
        return f"The job is suspended, and has no cluster. {resume}{lost}"
    if course.seen.resuming:
        return f"The job goes on with a new cluster once MarieCluster {course.cluster_name} is gone.{lost}"
    return f"The job is suspended: MarieCluster {course.cluster_name} is being removed. {resume}{lost}"


def _stuck(course: Course) -> str:
    assert course.obstacle is not None  # noqa: S101 - the caller looked
    if not course.documents.listed:
        return course.obstacle.message
    return f"{course.obstacle.message} {_counts(course.documents)}"


def _one(course: Course, source: SingleDocument) -> str:
    document = course.documents.in_flight[0]
    if document.not_before is not None:
        attempts = course.job.spec.backoff_limit + 1
        return (
            f"{source.uri} failed; it is submitted again at {time(document.not_before)} "
            f"(attempt {document.attempt + 1} of {attempts})."
        )
    if course.settled.ended:
        return f"The results of {source.uri} are copied to {course.job.spec.output.uri}."
    if any(view.state is DocumentState.RUNNING for view in course.views):
        return f"An executor of MarieCluster {course.cluster_name} works on {source.uri}."
    if document.dag_id:
        return f"MarieCluster {course.cluster_name} has {source.uri} in its queue.{_unattended(course)}"
    if course.seen.submitter is not None:
        return _by_submitter(course, course.seen.submitter, source.uri)
    return _told(course).lstrip() or f"{source.uri} is being submitted to MarieCluster {course.cluster_name}."


def _by_submitter(course: Course, submitter: SubmitterJob, uri: str) -> str:
    """How far the submitter Job is with what Marie does not have yet."""
    what = f"Submitter Job {submitter.name}"
    if submitter.has_ended:
        return f"{what} has ended; MarieCluster {course.cluster_name} is searched for {uri}."
    if submitter.told:
        return f"{what} is to submit {uri}: {submitter.told.rstrip('.')}."
    return f"{what} is to submit {uri} to MarieCluster {course.cluster_name}."


def _many(course: Course) -> str:
    if not course.documents.listed:
        filtered = course.documents.filtered
        passed = f"; {count(filtered)} left out so far" if filtered else ""
        return f"Listing {course.plan.source.uri}{passed}."
    return f"{_counts(course.documents)}{_told(course)}{_unattended(course)}"


def _unattended(course: Course) -> str:
    """That nobody is there to work on what the cluster has; begins with a space, if that is so."""
    gateway = course.seen.gateway
    waits = any(document.dag_id for document in course.followed)
    if not waits or gateway is None or any(gateway.executors.values()):
        return ""
    if any(view.state is DocumentState.RUNNING for view in course.views):
        return ""
    return (
        f" No executor is registered with MarieCluster {course.cluster_name}: set replicas of an executor group above "
        "0 and its suspend to false, or see why its pods do not become ready."
    )


def _told(course: Course) -> str:
    """What the monitor has to say of a document that is not confirmed yet."""
    known = course.seen.documents
    for document in course.followed:
        view = known.get(document.ref_id)
        if view is not None and view.message and not view.dag_id:
            return f" {document.uri}: {view.message.rstrip('.')}."
    return ""


def _counts(documents: JobDocuments) -> str:
    ended = documents.succeeded + documents.failed
    of = f"{ended} of {count(documents.total)}" if documents.total is not None else count(ended)
    parts = [f"{of} done", f"{len(documents.in_flight)} in flight"]
    if documents.failed:
        parts.insert(1, f"{documents.failed} of them failed")
    return f"{', '.join(parts)}."


def results(course: Course) -> str:
    """Where the results are."""
    output, handover = course.plan.output, course.handover
    if output is not None and handover.outcome is not None:
        totals = handover.outcome.totals
        without = f" {count(totals.without)} succeeded without one." if totals is not None and totals.without else ""
        return f"{_copied(course)}.{without}"
    place = f"Marie stored the results in its own bucket, by default under {results_uri(course.job)}"
    return f"{place}. They stay there: {handover.unknown}" if handover.unknown else f"{place}."


def left(course: Course) -> str:
    """What stays where Marie reads from, though it was put there for the job; begins with a space, if anything does."""
    source, staged, documents = course.plan.source, course.seen.staged, course.documents
    brought = bool(documents.in_flight) and isinstance(staged, Folder)
    if not (isinstance(source, Inline) or brought or course.seen.cleared):
        return ""
    if not documents.listed or course.seen.cleared == "":
        return ""
    if course.seen.cleared:
        return f" {course.seen.cleared}"
    where = f"under {staged.uri}" if isinstance(staged, Folder) else f"in a folder {STAGED}/{_stem(course)}"
    return f" What was put {where} for Marie stays there, since it may be read still."


def _stem(course: Course) -> str:
    return refs.stem(course.job.metadata.name, course.job.metadata.uid)


def copied(course: Course) -> str:
    """What of the results is where the job wants it, at its end."""
    if course.documents.succeeded:
        return f"{_copied(course)}."
    return "No document has a result."


def _copied(course: Course) -> str:
    listed = f", listed in {uri}" if (uri := manifest_uri(course)) else ""
    results = "1 document are" if course.documents.succeeded == 1 else f"{course.documents.succeeded} documents are"
    return f"The results of {results} under {output_uri(course)}{listed}"


def output_uri(course: Course) -> str:
    """Where the results are that the job has."""
    if course.plan.output is not None and course.handover.outcome is not None:
        return course.plan.output.uri
    return results_uri(course.job)


def manifest_uri(course: Course) -> str:
    """Where the list of results is; a folder with parts of it when it was not finished. Empty when there is none."""
    handover, documents = course.handover, course.documents
    if handover.route is None or handover.outcome is None or not (documents.succeeded or documents.failed):
        return ""
    route = handover.route
    key = route.manifest if handover.outcome.totals is not None else f"{route.parts}/"
    return f"{route.target.uri}/{key}"


def hearsay(course: Course) -> str:
    """What is known of a document that only its submitter knows of."""
    submitter = course.seen.submitter
    name = submitter.name if submitter is not None else ""
    return (
        f"Submitter Job {name} has ended well. Marie has no document under the reference id that it was told "
        "(MARIE_REF_ID), so what became of it, and where results are, its own command alone knows."
    )


def results_uri(job: MarieJob) -> str:
    """The prefix under which Marie stores the results."""
    return refs.results_uri(job=job.metadata.name, uid=job.metadata.uid, ref_type=job.spec.job_type)


def failures_told(course: Course) -> str:
    """A failure as an example, where all of them are, and what to do about them."""
    example, name = course.documents.failures[0], course.job.metadata.name
    several = course.documents.failure_parts > 1
    further = f" and those that go on from it, {failures.name(name, 2)} ..." if several else ""
    return (
        f"for example {example.uri}: {example.message} All are in ConfigMap {failures.name(name)}{further}. "
        f"Correct them, and make a job for them with spec.input.failedOf: {name}."
    )


def limit(job: MarieJob) -> str:
    """How many documents may fail, as the user wrote it."""
    return f"spec.batch.maxFailed ({job.spec.batch.max_failed})"


def standing(course: Course) -> str:
    """What had become of its documents when the job was given up."""
    documents = course.documents
    if not documents.listed:
        return "nothing was submitted" + (
            f", because: {course.obstacle.message.rstrip('.')}" if course.obstacle else ""
        )
    return _counts(documents).rstrip(".")


def running_on(course: Course) -> str:
    """What goes on at Marie after the job was given up; empty when nothing does."""
    if not (number := len(course.at_marie)):
        return ""
    run = "runs" if number == 1 else "run"
    why = _unusable(course).removeprefix(", since ") or "a gateway cannot stop what it has taken"
    return f"{count(number)} at Marie {run} on: {why}. Results may still appear."
