"""Condition types, their reasons, and the reasons of events: everything a status says that programs may match.

Each reason's text says what it means and what the user should do; the condition's message says the same with names
filled in.
"""

from enum import StrEnum


class ClusterCondition(StrEnum):
    """Conditions of a MarieCluster."""

    READY = "Ready"
    """The summary: the scheduler runs, every wanted executor is ready, and the pods are those of the present spec.

    Wait for it with ``kubectl wait``. Jobs go on while it is false, as long as ``ServerPodReady`` is true. A change
    that waits for documents (``UpgradePending``) and pods above the size that still work do not make it false.
    """

    PROVISIONED = "MarieClusterProvisioned"
    """The cluster was ready at least once since it was created or resumed; it stays true while pods come and go."""

    SERVER_POD_READY = "ServerPodReady"
    """The server's pod is ready and its scheduler takes jobs."""

    ALL_EXECUTORS_READY = "AllExecutorsReady"
    """Every group has as many ready pods as it wants."""

    SUSPENDED = "Suspended"
    """The cluster's pods are gone because ``spec.suspend`` asked for it."""

    PAUSED = "Paused"
    """The operator changes nothing of the cluster because the annotation ``marie.ai/reconcile: paused`` asks for it."""

    UPGRADE_PENDING = "UpgradePending"
    """A change that replaces pods waits until Marie has no document in hand, as ``spec.upgradeStrategy`` asks for.

    It is there only as long as a change waits.
    """

    SCHEDULER_PAUSED = "SchedulerPaused"
    """The operator has told Marie's scheduler to begin nothing new until a change that waits is made; Marie 5 can.

    It is there from before the pause until it has ended. A pause by somebody else is told by ``ServerPodReady``.
    """

    HTTP_ROUTE_ACCEPTED = "HTTPRouteAccepted"
    """Every Gateway of ``spec.httpRoute`` leads to the server; ``Ready`` does not depend on it."""

    ETCD_READY = "EtcdReady"
    """The etcd of ``backingServices`` is the cluster's own and answers."""

    POSTGRES_READY = "PostgresReady"
    """The database of ``backingServices`` is the cluster's own, its Secret is complete, and its server answers."""

    S3_READY = "S3Ready"
    """The Secret of the object store of ``backingServices`` is complete, and the store answers."""

    RABBITMQ_READY = "RabbitMQReady"
    """The Secret of the broker of ``backingServices`` is complete, and the broker answers."""


class ClusterReason(StrEnum):
    """Why a condition of a MarieCluster has its status."""

    READY = "Ready"
    """Everything runs as wanted. Nothing to do."""

    PROVISIONED = "Provisioned"
    """The cluster has been ready. Nothing to do."""

    ROLLING_OUT = "RollingOut"
    """Pods are replaced by those of the present spec, or are about to be; those of before serve meanwhile. Wait."""

    SERVER_READY = "ServerReady"
    """The server's pod is ready and its scheduler runs. Nothing to do."""

    SERVER_STARTING = "ServerStarting"
    """The server's pod is being scheduled, pulls its image or starts. Wait."""

    SERVER_FAILING = "ServerFailing"
    """The server's pod cannot start or keeps ending. Do what the message says of it: image, resources, logs."""

    GATEWAY_UNREACHABLE = "GatewayUnreachable"
    """The pod is up but its gateway does not answer the operator. Check NetworkPolicies and the server's log."""

    SCHEDULER_STOPPED = "SchedulerStopped"
    """The gateway answers but its scheduler does not run.

    Check that etcd and PostgreSQL are reachable from the server.
    """

    SERVICE_REACHABLE = "ServiceReachable"
    """The server's pod has reached the service when it started. Nothing to do."""

    SERVICE_UNREACHABLE = "ServiceUnreachable"
    """The server's pod waits because the service does not answer it.

    Check the address, the service and NetworkPolicies; the log of the container that the message names has details.
    """

    SERVICE_UNCHECKED = "ServiceUnchecked"
    """The server's pod has not tried to reach the service yet. Wait, or do what ``ServerPodReady`` says."""

    SERVICE_READY = "ServiceReady"
    """The managed service runs. Nothing to do."""

    SERVICE_STARTING = "ServiceStarting"
    """The managed service's pod is being scheduled, pulls its image or starts. Wait."""

    SERVICE_FAILING = "ServiceFailing"
    """The managed service's pod cannot start or keeps ending. Do what the message says of it: volume, image, logs."""

    SERVICE_SHARED = "ServiceShared"
    """An older MarieCluster uses the same etcd or database, and two would corrupt each other's jobs.

    Give this cluster an etcd and a database of its own; until then its pods are left as they are.
    """

    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason
    """A Secret that the configuration is made of does not exist. Create it, or correct the field that names it."""

    SECRET_KEY_MISSING = "SecretKeyMissing"  # noqa: S105 - a reason
    """A Secret that the configuration is made of lacks a key. Add it, or correct the field that names it."""

    SECRET_UNUSABLE = "SecretUnusable"  # noqa: S105 - a reason
    """A value in a Secret would not reach Marie as it is. Replace it by one of the form that the message gives."""

    ROUTE_ACCEPTED = "RouteAccepted"
    """Every Gateway leads to the server. Nothing to do."""

    ROUTE_PENDING = "RoutePending"
    """A Gateway's controller has not said yet whether it takes the HTTPRoute.

    Wait, or check that the Gateways of ``spec.httpRoute.parentRefs`` exist and have a controller that runs.
    """

    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    """A Gateway does not take the HTTPRoute. Do what the message quotes: listener, hosts, allowed namespaces."""

    ROUTE_KIND_MISSING = "RouteKindMissing"
    """The API server has no HTTPRoutes. Install the Gateway API's CRDs; the route then comes by itself."""

    EXECUTORS_READY = "ExecutorsReady"
    """Every group has its ready pods. Nothing to do."""

    EXECUTORS_STARTING = "ExecutorsStarting"
    """Executor pods are being scheduled, pull their image or load models. Wait."""

    EXECUTORS_FAILING = "ExecutorsFailing"
    """Executor pods cannot start or keep ending. Do what the message says of them: image, resources, GPUs, logs."""

    NO_EXECUTORS = "NoExecutors"
    """No group wants a pod. Raise ``replicas`` of a group when jobs should run."""

    SUSPENDING = "Suspending"
    """``spec.suspend`` is set and pods are still ending. Wait."""

    SUSPENDED = "Suspended"
    """All pods are gone. Set ``spec.suspend`` to false to resume."""

    GROUPS_SUSPENDED = "GroupsSuspended"
    """Some groups are suspended, the cluster is not. Set ``suspend`` of these groups to false to resume them."""

    NOT_SUSPENDED = "NotSuspended"
    """Nothing is suspended. Nothing to do."""

    PAUSED = "Paused"
    """The operator leaves the cluster as it is. Remove the annotation ``marie.ai/reconcile`` to go on."""

    NOT_PAUSED = "NotPaused"
    """The operator looks after the cluster again. Nothing to do."""

    WORK_IN_HAND = "WorkInHand"
    """Marie has documents in hand, which a change that waits would interrupt. The cluster's jobs submit no more.

    Wait, or set ``spec.upgradeStrategy.type`` to ``Immediate``.
    """

    WORK_UNKNOWN = "WorkUnknown"
    """The gateway does not tell whether Marie has documents in hand, which a change that waits would interrupt.

    Wait, do what ``ServerPodReady`` says, or set ``spec.upgradeStrategy.type`` to ``Immediate``.
    """

    PAUSED_FOR_CHANGE = "PausedForChange"
    """Marie's scheduler begins nothing new, so that a change that waits comes about.

    Wait, or set ``spec.upgradeStrategy.type`` to ``Immediate``.
    """

    PAUSE_ENDS = "PauseEnds"
    """No change waits any more, and the operator tells Marie's scheduler to go on. Wait.

    If it stays, do what ``ServerPodReady`` says, or post to the gateway's ``/api/scheduler/unpause``.
    """

    INVALID_SPEC = "InvalidSpec"
    """The spec contradicts itself.

    Correct the field that the message names; until then the children stay as they are.
    """

    UNREADABLE = "Unreadable"
    """The object does not have the fields and types of this version.

    Apply it again with the field that the message names corrected.
    """

    NAME_TAKEN = "NameTaken"
    """An object of a child's name exists and is not the cluster's.

    Delete or rename that object, or rename the cluster.
    """

    CHILD_REFUSED = "ChildRefused"
    """The API server or an admission policy refused a child, or a webhook that it has to ask does not answer.

    Correct what the message quotes: template, quota, policy, webhook.
    """

    FIELD_CONFLICT = "FieldConflict"
    """Another manager owns a field of a child that the spec also sets. Remove it from one of the two."""

    PERMISSION_DENIED = "PermissionDenied"
    """The operator may not do what the message says. Apply config/rbac of the operator's version again."""


class JobCondition(StrEnum):
    """Conditions of a MarieJob, as batch/v1 Job has them."""

    SUBMITTED = "Submitted"
    """Marie has confirmed a document of this job."""

    COMPLETE = "Complete"
    """Every document has ended, and no more failed than ``batch.maxFailed`` allows."""

    FAILED = "Failed"
    """The job ended without all its results."""

    FAILURE_TARGET = "FailureTarget"
    """The job is given up, and fails once what Marie has of it is cancelled in Marie's database, a minute at most."""

    SUSPENDED = "Suspended"
    """No document is submitted because ``spec.suspend`` asked for it."""

    PAUSED = "Paused"
    """The operator does nothing for the job because the annotation ``marie.ai/reconcile: paused`` asks for it."""

    SLA_MISSED = "SLAMissed"
    """The soft or the hard deadline has passed before the job ended."""

    RESULTS_COPIED = "ResultsCopied"
    """The job has ended, and what Marie stored for its documents is under ``spec.output.uri``."""


class JobReason(StrEnum):
    """Why a condition of a MarieJob has its status."""

    CLUSTER_NOT_FOUND = "ClusterNotFound"
    """No MarieCluster of that name in the job's namespace. Create it, or correct ``clusterRef``."""

    NO_CLUSTER_MATCHES = "NoClusterMatches"
    """No MarieCluster in the job's namespace has the labels. Label one, or correct ``clusterSelector``."""

    CLUSTER_SUSPENDED = "ClusterSuspended"
    """The cluster is suspended. Set its ``spec.suspend`` to false."""

    CLUSTER_NOT_READY = "ClusterNotReady"
    """The cluster's scheduler does not run yet. Wait, or see the cluster's Ready condition."""

    CLUSTER_STARTING = "ClusterStarting"
    """The cluster of ``clusterSpec`` is made. Wait."""

    CHILD_REFUSED = "ChildRefused"
    """The API server or a policy refused the job's own cluster, its submitter Job, or the ConfigMap of its end.

    Correct what the message quotes: a field of a pod template, a quota, a policy.
    """

    CLUSTER_CHANGING = "ClusterChanging"
    """A change of the cluster waits until Marie has no document in hand, and no more are submitted until it is made.

    Wait, or set ``upgradeStrategy.type`` of the cluster to ``Immediate``.
    """

    API_KEY_MISSING = "APIKeyMissing"
    """The Secret or the key in it does not exist.

    Create it under the name that the message gives, or set ``auth.apiKeySecretRef`` of the cluster.
    """

    API_KEY_REFUSED = "APIKeyRefused"
    """The gateway does not accept the API key. Put the key of the gateway's configuration into the Secret."""

    GATEWAY_UNREACHABLE = "GatewayUnreachable"
    """The gateway does not answer; the operator tries again.

    Check the server's pod and NetworkPolicies when it lasts.
    """

    UNKNOWN_PLANNER = "UnknownPlanner"
    """The gateway has no planner of that name.

    Set ``spec.planner`` to one that the message lists, or add the planner to the cluster.
    """

    SUBMITTER_IMAGE_UNKNOWN = "SubmitterImageUnknown"
    """The operator does not know which image submits, as when it does not run in a cluster.

    Set MARIE_OPERATOR_IMAGE or ``--submitter-image`` of the operator, or an image in ``submitterPodTemplate``.
    """

    NO_INPUT = "NoInput"
    """The job names no documents. Set ``spec.input.uri``."""

    INVALID_URI = "InvalidURI"
    """``input.uri`` or ``output.uri`` is not one the operator can read. Use a form that the message lists."""

    UNSUPPORTED = "Unsupported"
    """The spec asks for something this version does not do yet. Use what the message offers instead."""

    CREDENTIALS_MISSING = "CredentialsMissing"
    """A Secret that says how to reach an object store, or a key in it, does not exist.

    Create it as the message says.
    """

    STORAGE_REFUSED = "StorageRefused"
    """The object store refuses the credentials, or the bucket does not exist.

    Correct them; the message quotes the store.
    """

    STORAGE_UNREACHABLE = "StorageUnreachable"
    """The object store does not answer; the operator tries again.

    Check the endpoint and NetworkPolicies when it lasts.
    """

    INPUT_MISSING = "InputMissing"
    """The ConfigMap or Secret of ``input`` does not exist. Create it; the job then goes on by itself."""

    FAILURES_UNKNOWN = "FailuresUnknown"
    """The job of ``input.failedOf`` is missing, has not ended, or its record of failures is gone.

    Wait for its end, or do what the message says.
    """

    NO_DOCUMENTS = "NoDocuments"
    """There is nothing under the prefix, or nothing that the filters leave.

    Upload documents before the job is created, or correct ``input.uri``, ``include`` and ``exclude``.
    """

    INVALID_SPEC = "InvalidSpec"
    """The spec contradicts itself. Correct the field that the message names."""

    UNREADABLE = "Unreadable"
    """The object does not have the fields and types of this version.

    Apply it again with the field that the message names corrected.
    """

    PERMISSION_DENIED = "PermissionDenied"
    """The operator may not do what the message says. Apply config/rbac of the operator's version again."""

    NAME_TAKEN = "NameTaken"
    """An object that the job writes exists and is not the job's. Delete or rename that object, or rename the job."""

    FIELD_CONFLICT = "FieldConflict"
    """Another manager owns a field of what the job owns that the spec also sets. Remove it from one of the two."""

    SUBMITTING = "Submitting"
    """Documents are on their way to the gateway. Wait."""

    QUEUED = "Queued"
    """The cluster has as many documents as it is given at a time, and other jobs go first.

    Wait, raise ``spec.priority``, add executors, or raise ``maxDocumentsInFlight`` of the cluster.
    """

    SUBMITTED = "Submitted"
    """Marie has confirmed a document of the job. Wait for its end."""

    SUCCEEDED = "Succeeded"
    """Every document has its result. Nothing to do."""

    DOCUMENTS_FAILED = "DocumentsFailed"
    """Documents failed more often than ``backoffLimit`` allows.

    See ``status.documents.failures``, correct them, and create a new job.
    """

    FAILURES_TOLERATED = "FailuresTolerated"
    """Documents failed, no more than ``batch.maxFailed`` allows. See ``status.documents.failures``."""

    TOO_MANY_FAILED = "TooManyFailed"
    """More documents failed than ``batch.maxFailed`` allows, so the job ended before the rest was tried.

    See ``status.documents.failures``, correct the cause, and create a new job.
    """

    SUBMISSION_REFUSED = "SubmissionRefused"
    """Marie refuses or drops the documents. Do what the message says, and create a new job."""

    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """``activeDeadlineSeconds`` has passed. Create a new job with more time, fewer documents, or more executors."""

    HARD_DEADLINE_EXCEEDED = "HardDeadlineExceeded"
    """``sla.hardDeadline`` has passed. Create a new job with more time, fewer documents, or more executors."""

    SOFT_DEADLINE_EXCEEDED = "SoftDeadlineExceeded"
    """``sla.softDeadline`` has passed and the job goes on. Add executors when it should not happen again."""

    DEADLINE_NEAR = "DeadlineNear"
    """Four fifths of the time to ``sla.softDeadline`` are over and the job goes on.

    Add executors, raise ``spec.priority`` if the job waits for its turn, or expect it to be late.
    """

    WITHIN_DEADLINE = "WithinDeadline"
    """No deadline has passed. Nothing to do."""

    NOT_GIVEN_UP = "NotGivenUp"
    """The job was about to be given up, and is not any more. Nothing to do."""

    CANCELLED = "Cancelled"
    """Documents were cancelled in Marie. Create a new job to process them."""

    CLUSTER_DELETED = "ClusterDeleted"
    """The cluster went away while documents were in flight; the job waits.

    Create the cluster again with the same database, or delete the job.
    """

    SUSPENDING = "Suspending"
    """``spec.suspend`` is set and documents that Marie already has run to their end, or the job's own cluster is being
    removed. Wait."""

    SUSPENDED = "Suspended"
    """Nothing is in flight, and a cluster of the job's own is gone. Set ``spec.suspend`` to false to go on."""

    NOT_SUSPENDED = "NotSuspended"
    """The job is not suspended. Nothing to do."""

    COPYING = "Copying"
    """Results are copied as documents end. Wait."""

    COPIED = "Copied"
    """Results are where the job wants them. Nothing to do."""

    OBJECT_STORE_UNKNOWN = "ObjectStoreUnknown"
    """The operator does not know how to reach the object store that Marie reads documents from and keeps results in.

    Set ``backingServices.s3`` of the cluster. Results stay where Marie stored them; make the job again to have a copy.
    """

    RESULTS_NOT_COPIED = "ResultsNotCopied"
    """For an hour no result could be copied, so the job was given up.

    Correct what the message says; the results of documents that ended are where Marie stored them.
    """

    PAUSED = "Paused"
    """The operator leaves the job as it is. Remove the annotation ``marie.ai/reconcile`` to go on."""

    NOT_PAUSED = "NotPaused"
    """The operator looks after the job again. Nothing to do."""


class EventReason(StrEnum):
    """Reasons of events. Where a condition changes, its event carries the condition's reason instead."""

    CREATED = "Created"
    """A child was created. Nothing to do."""

    CHANGED = "Changed"
    """A child was changed to what the spec says. Nothing to do."""

    DELETED = "Deleted"
    """A child that is no longer wanted was deleted. Nothing to do."""

    RESUMED = "Resumed"
    """Suspension ended. Nothing to do."""

    SEVERAL_SCHEDULERS = "SeveralSchedulers"
    """``serverSpec.replicas`` above 1 runs schedulers that dispatch the same job twice. Set it to 1."""

    OBJECT_STORE_NEEDED = "ObjectStoreNeeded"
    """A group extracts text, which Marie does from and to an object store. Set ``spec.backingServices.s3``."""

    SEVERAL_CLUSTERS_MATCH = "SeveralClustersMatch"
    """``clusterSelector`` selects more than one cluster, and the job settled on one.

    Use ``clusterRef``, or more labels, where it must be a certain one.
    """

    REPLICAS_CLAMPED = "ReplicasClamped"
    """``replicas`` of a group is outside of ``minReplicas`` and ``maxReplicas``, which hold.

    Correct the one or the other.
    """

    SCALE_DOWN_WAITS = "ScaleDownWaits"
    """A group is to have fewer pods, and waits for those that work; each goes once it is idle.

    Wait; or, to lose its work, delete a pod that the note names.
    """

    UPGRADE_WAITS = "UpgradeWaits"
    """A change that replaces pods waits until Marie has no document in hand.

    Wait, or set ``spec.upgradeStrategy.type`` to ``Immediate``.
    """

    UPGRADE_FORCED = "UpgradeForced"
    """A change was made at ``spec.upgradeStrategy.deadlineSeconds`` although Marie had documents in hand.

    Look for documents that do not end; raise the deadline when they take longer.
    """

    WORKERS_DELETED = "WorkersDeleted"
    """Pods were deleted because ``workersToDelete`` names them, or because they had left a group that now keeps them.

    Nothing to do.
    """

    WORK_LOST = "WorkLost"
    """A pod was given work in the moment in which it was withdrawn; Marie keeps that task active for ever.

    Repair or resubmit the task that the note names: docs/executor-groups.md says how.
    """

    DOCUMENT_RETRIED = "DocumentRetried"
    """A document failed and is submitted again. Nothing to do unless it repeats."""

    DOCUMENT_FAILED = "DocumentFailed"
    """A document failed for good. The note says why."""

    STILL_RUNNING = "StillRunning"
    """Documents go on in Marie, which cannot stop them over HTTP, although their job ended or is gone.

    Their results may still appear. With ``spec.backingServices`` of the cluster they are cancelled in Marie's database.
    """

    TAKEN_BACK = "TakenBack"
    """Documents of a job that ended or is gone were cancelled in Marie's database. Nothing to do."""

    NO_DELETION_RULE = "NoDeletionRule"
    """No rule of ``deletionStrategy`` names the phase that the job ended in, so its own cluster is deleted.

    Add a rule for that phase: with policy DeleteNone, to keep the cluster.
    """

    TAKEN_UP = "TakenUp"
    """A gateway ended while executors worked at documents, which Marie then keeps active for ever; they were set going
    again in Marie's database. Nothing to do."""

    BEYOND_HISTORY = "BeyondHistory"
    """The finished job is deleted, since the cluster keeps fewer: ``successfulJobsHistoryLimit`` or
    ``failedJobsHistoryLimit``. Nothing to do."""

    EXPIRED = "Expired"
    """The finished job is deleted, as ``ttlSecondsAfterFinished`` or a deletion rule says. Nothing to do."""
