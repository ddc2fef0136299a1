"""What a job says to its user in each situation, as one golden file to read and judge.

``UPDATE_GOLDENS=1`` writes the file anew.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from marie_operator.api.conditions import JobReason
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import DocumentInFlight, MarieJob
from marie_operator.api.meta import Condition, ObjectMeta
from marie_operator.builders import own_cluster as building
from marie_operator.controllers.mariejob.buckets import Bucket, Folder
from marie_operator.controllers.mariejob.choice import choose
from marie_operator.controllers.mariejob.decide import decide, leave
from marie_operator.controllers.mariejob.decision import Decision
from marie_operator.controllers.mariejob.delivery import (
    DeliveryFailure,
    DeliveryOutcome,
    DocumentEnd,
    Receipt,
    Totals,
)
from marie_operator.controllers.mariejob.imports import ImportFailure, ImportOutcome
from marie_operator.controllers.mariejob.line import Claim, Line
from marie_operator.controllers.mariejob.listing import ListingFailure
from marie_operator.controllers.mariejob.observation import Observation, Obstacle
from marie_operator.controllers.mariejob.rerun import find
from marie_operator.controllers.mariejob.routes import unknown
from marie_operator.controllers.mariejob.source import FailedOf, Inline, Prefix
from marie_operator.controllers.mariejob.store import ListRequest, Page, explained
from marie_operator.controllers.mariejob.submitter import SubmitterJob
from marie_operator.marie.gateways import DatabaseView, DocumentState, DocumentView, GatewayView
from marie_operator.runtime import Unparsable
from marie_operator.runtime.resource import ObjectKey
from tests.controllers.mariejob.clusters import Clusters
from tests.controllers.mariejob.jobs import Jobs
from tests.controllers.mariejob.samples import (
    NOW,
    OUTPUT,
    OWN,
    OWN_NAME,
    SINGLE,
    UP,
    cluster,
    job,
    later,
    own_cluster,
    page,
    route,
    seen,
    seen_own,
)

GOLDEN = Path(__file__).with_name("sentences.txt")
REQUEST = ListRequest(Prefix("bucket", "invoices/"))
DENIED = (
    "Generic S3 error: Error performing list request: Error performing GET https://s3/bucket in 1ms - "
    "Server returned non-2xx status code: 403 Forbidden: <Error><Code>AccessDenied</Code></Error>"
)
NO_BUCKET = DENIED.replace("403 Forbidden", "404 Not Found").replace("AccessDenied", "NoSuchBucket")
REFUSED = DENIED.replace("AccessDenied", "SignatureDoesNotMatch")
BROKEN = DENIED.replace("403 Forbidden", "503 Service Unavailable").replace("AccessDenied", "SlowDown")
UNREACHABLE = (
    "Generic S3 error: Error performing GET http://s3/b in 1ms, after 2 retries - HTTP error: error sending request"
)
SKEWED = DENIED.replace("AccessDenied", "RequestTimeTooSkewed")
ODD_KEY = 'Generic S3 error: Encountered object with invalid path: Path "invoices//a.pdf" contained empty path segment'
NO_CREDENTIALS = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 1ms - nothing there"


def listing_failed(error: str) -> Observation:
    told = explained(error, REQUEST, "https://minio.storage.svc:9000")
    return seen(listing=ListingFailure(str(told), told.answered))


def server(reason: str, message: str) -> Condition:
    return Condition(type="ServerPodReady", status="False", reason=reason, message=message, last_transition_time=NOW)


def starting(reason: str, message: str, gateway: GatewayView | None) -> Observation:
    base = cluster()
    conditions = (server(reason, message),)
    return seen(
        cluster=base.model_copy(update={"status": base.status.model_copy(update={"conditions": conditions})}),
        gateway=gateway,
    )


def changing() -> Observation:
    """A cluster whose change waits for documents in hand."""
    base, pending = cluster(), server("WorkInHand", "The change waits.")
    told = pending.model_copy(update={"type": "UpgradePending", "status": "True"})
    return seen(cluster=base.model_copy(update={"status": base.status.model_copy(update={"conditions": (told,)})}))


def missing(subject: MarieJob, *clusters: MarieCluster | Unparsable) -> Observation:
    found = choose(subject, Clusters(*clusters))
    assert isinstance(found, Obstacle)
    return seen(cluster=found)


def begun(subject: MarieJob, *keys: str) -> MarieJob:
    """The job with its first documents in flight."""
    status = decide(subject, seen(listing=page(*keys) if keys else None)).status
    return subject.model_copy(update={"status": status})


CLOUD = "gs://bucket/one.pdf"
DATA = {"data": "aGVsbG8="}
NO_TARGET = DeliveryFailure("https://minio has no bucket bucket. Create it.", True, NOW, at_source=False)
NO_SOURCE = DeliveryFailure("https://minio has no bucket marie. Create it.", True, NOW, at_source=True)


def delivering(
    subject: MarieJob,
    *states: DocumentState,
    delivered: Sequence[DocumentEnd] = (),
    totals: Totals | None = None,
    failure: DeliveryFailure | None = None,
    assumed: bool = False,
    now: datetime = NOW,
) -> tuple[MarieJob, Observation]:
    """A job whose documents stand so, and of which the first are delivered."""
    way = route(assumed=assumed)
    keys = "abc"[: len(states)] if subject.spec.input.uri.endswith("/") else ()
    status = decide(subject, seen(route=way, listing=page(*keys) if keys else None)).status
    begun = subject.model_copy(update={"status": status})
    references = [document.ref_id for document in status.documents.in_flight] if status.documents else []
    receipts = {ref_id: Receipt(end) for ref_id, end in zip(references, delivered, strict=False)}
    return begun, replace(
        ended(begun, *states), now=now, route=way, delivery=DeliveryOutcome(receipts, 1, failure, totals)
    )


def inline(
    cleared: str | None, state: DocumentState = DocumentState.SUCCEEDED, *, now: datetime = NOW, **spec: Any
) -> tuple[MarieJob, Observation]:
    """A job with a document of its own, which stands so."""
    subject = job("", input=DATA, **spec)
    source = Inline("scan", "docs", "", "document.pdf", b"hello", Bucket("marie"))
    keys = (source.key("document.pdf"),)
    status = decide(
        subject, seen(staged=source.folder, listing=Page(ListRequest(source), keys, keys[-1], last=True))
    ).status
    begun = subject.model_copy(update={"status": status})
    return begun, replace(ended(begun, state), now=now, staged=source.folder, cleared=cleared)


def clouded(
    state: DocumentState, *, missing: str = "", now: datetime = NOW, **what: Any
) -> tuple[MarieJob, Observation]:
    """A job with a document in another cloud, which stands so."""
    fields = {name: what.pop(name) for name in ("activeDeadlineSeconds", "backoffLimit") if name in what}
    subject = job(CLOUD, **fields)
    around: dict[str, Any] = {"scheme": "gs", "staged": Folder(Bucket("marie"), "staged/scan")}
    begun = subject.model_copy(update={"status": decide(subject, seen(**around)).status})
    (document,) = begun.status.documents.in_flight if begun.status.documents else ()
    if missing:
        around["imported"] = ImportOutcome(missing={document.ref_id: missing})
    if state is W:
        around["documents"] = {document.ref_id: DocumentView(W)}
    return begun, replace(ended(begun, state), now=now, **{**around, **what})


def begin_more(subject: MarieJob, *keys: str) -> MarieJob:
    """The same, with more to be listed."""
    return after(subject, seen(listing=page(*keys, last=False)))


def entries(subject: MarieJob) -> Sequence[DocumentInFlight]:
    return subject.status.documents.in_flight if subject.status.documents else ()


def ended(subject: MarieJob, *states: DocumentState, message: str = "Page 3 is not an image.") -> Observation:
    views = {
        entry.ref_id: DocumentView(state, f"dag-{number}", message)
        for number, (entry, state) in enumerate(zip(entries(subject), states, strict=False))
    }
    return seen(documents=views, now=later(minutes=3))


def half_listed() -> MarieJob:
    """A batch whose first two documents are in flight, with more to come."""
    return after(job(batch={"maxInFlight": 2}), seen(listing=page("a", "b", "c", last=False)))


def crowded() -> Line:
    """A cluster that has all that it is given at a time, from jobs that go first."""
    other = Claim(ObjectKey("docs", "urgent"), 9, None, None, in_flight=2, want=3, most=5, created=NOW)
    line = Line(2)
    line.claim(other)
    return line


def looked_up(subject: MarieJob) -> Observation:
    entry = entries(subject)[0]
    message = "It may have been submitted before; Marie is searched."
    return seen(documents={entry.ref_id: DocumentView(DocumentState.LOOKING_UP, "", message)})


def key_refused(subject: MarieJob) -> Observation:
    entry = entries(subject)[0]
    view = DocumentView(DocumentState.KEY_REFUSED, message="Invalid token or expired token.")
    return seen(documents={entry.ref_id: view})


def after(subject: MarieJob, observation: Observation) -> MarieJob:
    return subject.model_copy(update={"status": decide(subject, observation).status})


SELECTOR: dict[str, Any] = {"clusterRef": None, "clusterSelector": {"tier": "gpu", "env": "prod"}}
DOWN = GatewayView(
    reachable=False,
    running=False,
    problem="The gateway does not answer as it should: connection refused.",
    planners=None,
    executors={},
)
STOPPED = GatewayView(
    reachable=True,
    running=False,
    problem="The gateway answers, but its scheduler does not run yet.",
    planners=None,
    executors={},
)
UNATTENDED = replace(UP, executors={"extract_executor": 0})
OTHER = GatewayView(reachable=True, running=True, problem="", planners=frozenset({"extract", "mock"}), executors={})
S, F, R, C = DocumentState.SUCCEEDED, DocumentState.FAILED, DocumentState.RUNNING, DocumentState.CANCELLED
W = DocumentState.WAITING

JOB_REFUSED = Obstacle(
    JobReason.CHILD_REFUSED,
    'Job scan-submit cannot be written: jobs.batch "scan-submit" is forbidden: exceeded quota: jobs. '
    "Correct the job; it then goes on by itself.",
)


def by_job(**spec: Any) -> MarieJob:
    return job(SINGLE, submissionMode="K8sJobSubmission", **spec)


def begun_by_job(**spec: Any) -> MarieJob:
    return after(by_job(**spec), seen_by_job(SubmitterJob("scan-submit")))


def seen_by_job(submitter: SubmitterJob, state: DocumentState | None = None) -> Observation:
    views = {} if state is None else {entry.ref_id: DocumentView(state) for entry in entries(begun_by_job())}
    return seen(submitter=submitter, submitter_image="marieai/marie-operator:1.0", documents=views)


CLUSTER_REFUSED = Obstacle(
    JobReason.CHILD_REFUSED,
    f'MarieCluster {OWN_NAME} cannot be written: marieclusters "{OWN_NAME}" is forbidden: exceeded quota: gpus. '
    "Correct the job; it then goes on by itself.",
)


def owning(*, suspended: bool = False) -> MarieJob:
    """A job whose own cluster is made."""
    spec = {**OWN, "clusterSpec": {**OWN["clusterSpec"], "suspend": suspended}}
    return after(job(SINGLE, **spec), seen_own(job(SINGLE, **spec), None))


def running_on_own() -> MarieJob:
    subject = after(owning(), seen_own(owning(), own_cluster(owning())))
    return after(subject, running_on_own_seen(subject))


def running_on_own_seen(subject: MarieJob) -> Observation:
    views = {entry.ref_id: DocumentView(R, "dag-1") for entry in entries(subject)}
    return seen_own(subject, own_cluster(owning()), documents=views)


def suspending() -> MarieJob:
    return with_suspend(running_on_own(), True)


def resuming() -> MarieJob:
    return with_suspend(after(suspending(), seen_own(suspending(), own_cluster(owning()))), False)


READY = DatabaseView(ready=True)
AWAY = DatabaseView(problem="database postgres at c-postgres.docs.svc:5432 does not answer as it should: refused")


def taking_back(*, deleted: datetime | None = None) -> MarieJob:
    """A suspended job of two documents, both of which are being cancelled; or one that is deleted."""
    subject = with_suspend(begun(job(), "a", "b"), True)
    subject = after(subject, replace(ended(subject, R, R), database=READY))
    metadata = subject.metadata.model_copy(update={"deletion_timestamp": deleted})
    return subject.model_copy(update={"metadata": metadata})


def given_up() -> MarieJob:
    """A job that is late and whose document is being cancelled."""
    subject = begun(job(SINGLE, activeDeadlineSeconds=60))
    return after(subject, replace(ended(subject, R), now=later(seconds=61), database=READY))


def taken_back(subject: MarieJob) -> Observation:
    return replace(ended(subject, C, C), database=READY)


def with_suspend(subject: MarieJob, suspend: bool) -> MarieJob:
    return subject.model_copy(update={"spec": subject.spec.model_copy(update={"suspend": suspend})})


AGAIN = job("", input={"failedOf": "scan"}).model_copy(update={"metadata": ObjectMeta(name="again", namespace="docs")})


def found(subject: MarieJob, *jobs: MarieJob | Unparsable) -> FailedOf | Obstacle:
    """What the failures of job scan are to a job that asks for them."""
    return find(FailedOf("docs", subject.spec.input.failed_of), Jobs(*jobs), "")


SITUATIONS: dict[str, Callable[[], Decision]] = {
    "cluster missing": lambda: decide(job(), missing(job())),
    "cluster being deleted": lambda: decide(job(), missing(job(), cluster(deleting=True))),
    "cluster unreadable": lambda: decide(job(), missing(job(), Unparsable({}, "spec.serverSpec: Field required"))),
    "no cluster matches": lambda: decide(job(**SELECTOR), missing(job(**SELECTOR))),
    "several clusters match": lambda: decide(
        job(SINGLE, **SELECTOR), seen(cluster=cluster("a", labels=SELECTOR["clusterSelector"]), rivals=["b", "c"])
    ),
    "cluster deleted under the job": lambda: decide(begun(job(), "a", "b"), missing(begun(job(), "a", "b"))),
    "cluster suspended": lambda: decide(job(), seen(cluster=cluster(suspend=True))),
    "cluster about to be changed": lambda: decide(job(), changing()),
    "cluster of another operator": lambda: decide(job(), seen(cluster=cluster(managedBy="kueue.x-k8s.io/multikueue"))),
    "cluster starting": lambda: decide(job(), seen(gateway=None)),
    "server failing": lambda: decide(
        job(), starting("ServerFailing", "pod c-server-0 cannot be scheduled: 0/3 nodes fit.", None)
    ),
    "scheduler not running": lambda: decide(job(), seen(gateway=STOPPED)),
    "gateway unreachable": lambda: decide(job(), seen(gateway=DOWN)),
    "gateway unreachable, its pod ready": lambda: decide(job(), starting("GatewayUnreachable", "?", DOWN)),
    "gateway unreachable in mid-batch": lambda: decide(begun(job(), "a", "b"), seen(gateway=DOWN)),
    "unknown planner": lambda: decide(job(planner="receipts"), seen(gateway=OTHER)),
    "no planners": lambda: decide(job(), seen(gateway=GatewayView(True, True, "", frozenset(), {}))),
    "key refused": lambda: decide(begun(job(), "a"), key_refused(begun(job(), "a"))),
    "listing denied": lambda: decide(job(), listing_failed(DENIED)),
    "bucket missing": lambda: decide(job(), listing_failed(NO_BUCKET)),
    "credentials refused": lambda: decide(job(), listing_failed(REFUSED)),
    "clock wrong": lambda: decide(job(), listing_failed(SKEWED)),
    "key that is no path": lambda: decide(job(), listing_failed(ODD_KEY)),
    "object store broken": lambda: decide(job(), listing_failed(BROKEN)),
    "object store unreachable": lambda: decide(job(), listing_failed(UNREACHABLE)),
    "no credentials": lambda: decide(job(), listing_failed(NO_CREDENTIALS)),
    "no documents": lambda: decide(job(), seen(listing=page())),
    "no documents chosen": lambda: decide(job(input={"include": ["*.tif"]}), seen(listing=page("a", "b"))),
    "no documents chosen so far": lambda: decide(
        job(input={"include": ["*.tif"]}), seen(listing=page("a", "b", last=False))
    ),
    "failures: job missing": lambda: decide(AGAIN, seen(failed=found(AGAIN))),
    "failures: job not ended": lambda: decide(AGAIN, seen(failed=found(AGAIN, job()))),
    "failures: job unreadable": lambda: decide(
        AGAIN, seen(failed=found(AGAIN, Unparsable({}, "spec: Field required")))
    ),
    "failures: none": lambda: decide(
        AGAIN,
        seen(failed=FailedOf("docs", "scan"), listing=Page(ListRequest(FailedOf("docs", "scan")), (), "", last=True)),
    ),
    "failures: listing": lambda: decide(AGAIN, seen(failed=FailedOf("docs", "scan"))),
    "failures: record gone": lambda: decide(
        AGAIN, seen(failed=FailedOf("docs", "scan"), listing=ListingFailure("ConfigMap scan-failures is gone.", True))
    ),
    "uri empty": lambda: decide(job(""), seen()),
    "uri without scheme": lambda: decide(job("bucket/invoices/"), seen()),
    "uri of another scheme": lambda: decide(job("https://example.org/a.pdf"), seen()),
    "uri without bucket": lambda: decide(job("s3:///invoices/"), seen()),
    "uri of an impossible bucket": lambda: decide(job("s3://my bucket/invoices/"), seen()),
    "uri of a bucket alone": lambda: decide(job("s3://bucket"), seen()),
    "uri with an empty part": lambda: decide(job("s3://bucket//invoices/"), seen()),
    "uri changed": lambda: decide(job("s3://bucket/receipts/", status=begun(job(), "a").status), seen()),
    "no cluster named": lambda: decide(job(clusterRef=None), seen()),
    "two clusters named": lambda: decide(job(clusterSelector={"a": "b"}), seen()),
    "deadlines reversed": lambda: decide(job(sla={"softDeadline": "2h", "hardDeadline": "1h"}), seen()),
    "submitter: for a prefix": lambda: decide(job(submissionMode="K8sJobSubmission"), seen()),
    "submitter: no image": lambda: decide(by_job(), seen(submitter=SubmitterJob("scan-submit"))),
    "submitter: refused": lambda: decide(
        by_job(), seen(submitter=SubmitterJob("scan-submit"), submitter_image="m", refused=JOB_REFUSED)
    ),
    "submitter: made": lambda: decide(by_job(), seen_by_job(SubmitterJob("scan-submit"))),
    "submitter: cannot start": lambda: decide(
        begun_by_job(), seen_by_job(SubmitterJob("scan-submit", "u", told="pod scan-submit-x failed: Evicted"))
    ),
    "submitter: has ended, and Marie is searched": lambda: decide(
        begun_by_job(), seen_by_job(SubmitterJob("scan-submit", "u", succeeded=True), DocumentState.LOOKING_UP)
    ),
    "submitter: ended well in its own way": lambda: decide(
        begun_by_job(), seen_by_job(SubmitterJob("scan-submit", "u", succeeded=True), DocumentState.WAITING)
    ),
    "submitter: failed": lambda: decide(
        begun_by_job(backoffLimit=0),
        seen_by_job(SubmitterJob("scan-submit", "u", failed=True, told="no such file"), DocumentState.WAITING),
    ),
    "submitter: failed without a word, and another follows": lambda: decide(
        begun_by_job(), seen_by_job(SubmitterJob("scan-submit", "u", failed=True), DocumentState.WAITING)
    ),
    "inline data, and nothing says where Marie reads from": lambda: decide(
        job("", input=DATA),
        seen(staged=Obstacle(JobReason.OBJECT_STORE_UNKNOWN, unknown(cluster(), "reads from", "s3"))),
    ),
    "inline data that is none": lambda: decide(job("", input={"data": "?"}), seen()),
    "inline data beside a uri": lambda: decide(job(SINGLE, input=DATA), seen()),
    "config map that is missing": lambda: decide(
        job("", input={"configMapRef": {"name": "x"}}),
        seen(listing=ListingFailure("There is no ConfigMap x in namespace docs.", answered=True, missing=True)),
    ),
    "secret that holds nothing": lambda: decide(
        job("", input={"secretRef": {"name": "x"}}),
        seen(listing=Page(ListRequest(Inline("scan", "docs", "Secret", "x")), (), "", last=True)),
    ),
    "inline data, done": lambda: decide(*inline(None)),
    "inline data, taken away": lambda: decide(*inline("")),
    "inline data, that stays": lambda: decide(*inline("What was put under s3://marie/staged/scan/ stays: no rights.")),
    "inline data, given up": lambda: decide(*inline(None, R, now=later(hours=1), activeDeadlineSeconds=60)),
    "in another cloud, and nothing says where Marie reads from": lambda: decide(
        job(CLOUD),
        seen(scheme="gs", staged=Obstacle(JobReason.OBJECT_STORE_UNKNOWN, unknown(cluster(), "reads from", "gs"))),
    ),
    "in another cloud, copied": lambda: decide(*clouded(W)),
    "in another cloud, and a store refuses": lambda: decide(
        *clouded(W, imported=ImportOutcome(failure=ImportFailure("No right to write to marie.", answered=True)))
    ),
    "in another cloud, and the Secret is gone": lambda: decide(
        *clouded(W, credentials=Obstacle(JobReason.CREDENTIALS_MISSING, "There is no Secret google."))
    ),
    "in another cloud, and there no more": lambda: decide(
        *clouded(W, missing="Google Cloud Storage has no gs://bucket/one.pdf.", backoffLimit=0)
    ),
    "in another cloud, done": lambda: decide(*clouded(S)),
    "in another cloud, taken away": lambda: decide(*clouded(S, cleared="")),
    "in another cloud, that stays": lambda: decide(
        *clouded(S, cleared="What was put under s3://marie/staged/scan/ for Marie stays there: no rights.")
    ),
    "in another cloud, given up": lambda: decide(*clouded(R, now=later(hours=1), activeDeadlineSeconds=60)),
    "listing": lambda: decide(job(), seen()),
    "single: submitting": lambda: decide(job(SINGLE), seen()),
    "single: queued": lambda: decide(begun(job(SINGLE)), ended(begun(job(SINGLE)), DocumentState.SUBMITTED)),
    "single: queued without an executor": lambda: decide(
        begun(job(SINGLE)), replace(ended(begun(job(SINGLE)), DocumentState.SUBMITTED), gateway=UNATTENDED)
    ),
    "batch: queued without an executor": lambda: decide(
        begun(job(), "a", "b"),
        replace(ended(begun(job(), "a", "b"), *2 * [DocumentState.SUBMITTED]), gateway=UNATTENDED),
    ),
    "single: suspended while an executor works on it": lambda: decide(
        with_suspend(begun(job(SINGLE)), True), ended(begun(job(SINGLE)), R)
    ),
    "single: running": lambda: decide(begun(job(SINGLE)), ended(begun(job(SINGLE)), R)),
    "single: failed once": lambda: decide(begun(job(SINGLE)), ended(begun(job(SINGLE)), F)),
    "single: succeeded": lambda: decide(begun(job(SINGLE)), ended(begun(job(SINGLE)), S)),
    "single: succeeded, nothing says where results are": lambda: decide(
        begun(job(SINGLE, output=OUTPUT)), ended(begun(job(SINGLE)), S)
    ),
    "single: results on their way": lambda: decide(*delivering(job(SINGLE, output=OUTPUT), S)),
    "batch: results on their way": lambda: decide(*delivering(job(output=OUTPUT), S, R)),
    "batch: no bucket for results": lambda: decide(*delivering(job(output=OUTPUT), S, R, failure=NO_TARGET)),
    "batch: results could not be copied for an hour": lambda: decide(
        *delivering(job(output=OUTPUT), S, R, failure=replace(NO_TARGET, since=later(hours=-1)))
    ),
    "single: Marie's store was assumed, and is not there": lambda: decide(
        *delivering(job(SINGLE, output=OUTPUT), S, failure=NO_SOURCE, assumed=True)
    ),
    "batch: results delivered, the manifest is not": lambda: decide(
        *delivering(job(output=OUTPUT), S, S, delivered=("Succeeded", "Succeeded"))
    ),
    "batch: results delivered": lambda: decide(
        *delivering(job(output=OUTPUT), S, S, delivered=("Succeeded", "Succeeded"), totals=Totals(4, 0))
    ),
    "batch: results delivered, some documents failed, some have none": lambda: decide(
        *delivering(job(output=OUTPUT, backoffLimit=0), S, F, delivered=("Succeeded", "Failed"), totals=Totals(0, 1))
    ),
    "batch: a deadline passes while results are on their way": lambda: decide(
        *delivering(job(output=OUTPUT, activeDeadlineSeconds=60), S, S, delivered=("Succeeded",), now=later(minutes=2))
    ),
    "no Secret for results": lambda: decide(
        job(output=OUTPUT), seen(route=Obstacle(JobReason.CREDENTIALS_MISSING, "There is no Secret s3."))
    ),
    "output that is none": lambda: decide(job(output={"uri": "file:///results"}), seen()),
    "single: failed": lambda: decide(begun(job(SINGLE, backoffLimit=0)), ended(begun(job(SINGLE)), F)),
    "single: failed without a reason": lambda: decide(
        begun(job(SINGLE, backoffLimit=0)), ended(begun(job(SINGLE)), F, message="")
    ),
    "single: cancelled": lambda: decide(
        begun(job(SINGLE)), ended(begun(job(SINGLE)), C, message="DAG 1 was cancelled in Marie.")
    ),
    "single: refused": lambda: decide(
        begun(job(SINGLE, backoffLimit=0)),
        ended(begun(job(SINGLE)), DocumentState.REFUSED, message="Marie accepted the document 3 times and dropped it."),
    ),
    "single: looked up": lambda: decide(begun(job(SINGLE)), looked_up(begun(job(SINGLE)))),
    "batch: looked up": lambda: decide(begun(job(), "a", "b"), looked_up(begun(job(), "a", "b"))),
    "batch: begun": lambda: decide(job(), seen(listing=page("a", "b", "c"))),
    "batch: more than a page": lambda: decide(job(), seen(listing=page("a", "b", last=False))),
    "batch: under way": lambda: decide(begun(job(), "a", "b", "c"), ended(begun(job(), "a", "b", "c"), S, R)),
    "batch: some failed once": lambda: decide(begun(job(), "a", "b", "c"), ended(begun(job(), "a", "b", "c"), F, F, S)),
    "batch: some failed": lambda: decide(
        begun(job(backoffLimit=0), "a", "b", "c"), ended(begun(job(), "a", "b", "c"), F, S)
    ),
    "batch: succeeded": lambda: decide(begun(job(), "a", "b"), ended(begun(job(), "a", "b"), S, S)),
    "batch: ended with failures": lambda: decide(
        begun(job(backoffLimit=0), "a", "b", "c"), ended(begun(job(), "a", "b", "c"), F, S, S)
    ),
    "batch: failures tolerated": lambda: decide(
        begun(job(backoffLimit=0, batch={"maxFailed": "50%"}), "a", "b", "c"),
        ended(begun(job(), "a", "b", "c"), F, S, S),
    ),
    "batch: too many failed": lambda: decide(
        begun(job(backoffLimit=0, batch={"maxFailed": 0}), "a", "b", "c"), ended(begun(job(), "a", "b", "c"), F, S, R)
    ),
    "batch: too many failed of a number not known": lambda: decide(
        begin_more(job(backoffLimit=0, batch={"maxFailed": 1}), "a", "b", "c"), ended(begun(job(), "a", "b", "c"), F, F)
    ),
    "suspended from the start": lambda: decide(job(suspend=True), seen()),
    "suspended in mid-batch": lambda: decide(
        job(suspend=True, status=begun(job(), "a", "b").status), ended(begun(job(), "a", "b"), R)
    ),
    "suspended, being taken back": lambda: decide(
        with_suspend(begun(job(), "a", "b"), True),
        replace(ended(begun(job(), "a", "b"), R, DocumentState.CANCELLING), database=READY),
    ),
    "suspended, the database out of reach": lambda: decide(
        with_suspend(begun(job(), "a", "b"), True), replace(ended(begun(job(), "a", "b"), R), database=AWAY)
    ),
    "suspended, all taken back": lambda: decide(taking_back(), taken_back(taking_back())),
    "late, being taken back": lambda: decide(
        begun(job(SINGLE, activeDeadlineSeconds=60)),
        replace(ended(begun(job(SINGLE, activeDeadlineSeconds=60)), R), now=later(seconds=61), database=READY),
    ),
    "late, and done all the same": lambda: decide(given_up(), replace(ended(given_up(), S), now=later(seconds=62))),
    "deleted, being taken back": lambda: leave(taking_back(), replace(seen(), database=READY)),
    "deleted, all taken back": lambda: leave(taking_back(), taken_back(taking_back())),
    "deleted, the database out of reach for a minute": lambda: leave(
        taking_back(deleted=NOW), replace(seen(now=later(seconds=61)), database=AWAY)
    ),
    "others go first": lambda: decide(job(), seen(line=crowded())),
    "others go first in the middle of a batch": lambda: decide(
        half_listed(), replace(ended(half_listed(), S, S), line=crowded())
    ),
    "resumed": lambda: decide(job(status=after(job(suspend=True), seen()).status), seen()),
    "soft deadline ahead": lambda: decide(job(SINGLE, sla={"softDeadline": "30m"}), seen()),
    "soft deadline near": lambda: decide(begun(job(SINGLE, sla={"softDeadline": "30m"})), seen(now=later(minutes=25))),
    "soft deadline missed": lambda: decide(
        begun(job(SINGLE, sla={"softDeadline": "30m"})), seen(now=later(minutes=31))
    ),
    "hard deadline exceeded": lambda: decide(
        begun(job(sla={"softDeadline": "30m", "hardDeadline": "1h"}), "a", "b"), seen(now=later(minutes=61))
    ),
    "active deadline exceeded before anything was submitted": lambda: decide(
        after(job(activeDeadlineSeconds=60), seen(gateway=DOWN)), seen(gateway=DOWN, now=later(seconds=60))
    ),
    "own cluster: being made": lambda: decide(job(SINGLE, **OWN), seen_own(job(SINGLE, **OWN), None)),
    "own cluster: refused": lambda: decide(
        job(SINGLE, **OWN), seen_own(job(SINGLE, **OWN), None, cluster=CLUSTER_REFUSED)
    ),
    "own cluster: name taken": lambda: decide(
        job(SINGLE, **OWN), seen_own(job(SINGLE, **OWN), cluster(building.name(job(SINGLE, **OWN))))
    ),
    "own cluster: starting": lambda: decide(owning(), seen_own(owning(), own_cluster(owning()), gateway=None)),
    "own cluster: suspended by the spec": lambda: decide(
        owning(suspended=True), seen_own(owning(suspended=True), own_cluster(owning(suspended=True)))
    ),
    "own cluster: at work": lambda: decide(running_on_own(), running_on_own_seen(running_on_own())),
    "own cluster: being deleted by somebody": lambda: decide(
        running_on_own(), seen_own(running_on_own(), own_cluster(owning(), deleting=True))
    ),
    "own cluster: suspending": lambda: decide(suspending(), seen_own(suspending(), own_cluster(owning()))),
    "own cluster: suspending, and no longer to be suspended": lambda: decide(
        resuming(), seen_own(resuming(), own_cluster(owning(), deleting=True))
    ),
    "own cluster: suspended": lambda: decide(
        after(suspending(), seen_own(suspending(), own_cluster(owning()))), seen_own(suspending(), None)
    ),
    "what has no effect": lambda: decide(job(SINGLE, shutdownAfterJobFinishes=True), seen()),
    "a format that Marie has nothing in": lambda: decide(job(SINGLE, output={"format": "csv"}), seen()),
}


def told(name: str, decision: Decision) -> Iterator[str]:
    status = decision.status
    yield f"# {name}"
    yield f"{status.phase}: {status.message}"
    for condition in status.conditions:
        message = "(as above)" if condition.message == status.message else condition.message
        yield f"  {condition.type}={condition.status} {condition.reason}: {message}"
    for event in decision.events:
        note = "(as above)" if event.note == status.message else event.note
        yield f"  event {event.type} {event.reason}: {note}"
    yield ""


def test_every_situation_says_what_is_wrong_and_what_to_do() -> None:
    text = "\n".join(line for name, situation in SITUATIONS.items() for line in told(name, situation()))
    if os.environ.get("UPDATE_GOLDENS"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_sentence_ends_and_is_not_cut(name: str) -> None:
    message = SITUATIONS[name]().status.message
    assert not message[0].islower() or message.startswith(("s3://", "gs://", "https://", "spec."))
    assert message.endswith(".")
    assert ".. " not in message
    assert "None" not in message


@pytest.mark.kuberay("KR-22")
def test_every_reason_of_a_waiting_job_is_shown() -> None:
    shown = {condition.reason for situation in SITUATIONS.values() for condition in situation().status.conditions}
    from_secrets = {
        JobReason.API_KEY_MISSING,
        JobReason.CREDENTIALS_MISSING,
        JobReason.PERMISSION_DENIED,
        JobReason.UNREADABLE,
    }
    assert set(JobReason) - from_secrets - shown == {
        JobReason.FIELD_CONFLICT,
        JobReason.PAUSED,
        JobReason.NOT_PAUSED,
    }
