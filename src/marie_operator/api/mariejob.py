"""MarieJob: documents in, results out, by a deadline."""

from typing import Annotated, Literal

from pydantic import Field

from marie_operator.api.duration import DEADLINE_MAX_LENGTH
from marie_operator.api.mariecluster import MarieClusterSpec
from marie_operator.api.meta import (
    API_VERSION,
    Bool,
    Condition,
    Int32,
    Int64,
    IntOrPercent,
    LocalObjectReference,
    ManagedBy,
    Model,
    ObjectMeta,
    PodTemplate,
    SecretReference,
    Time,
)

LONGEST_SECONDS = 2**31 - 1
"""Of a span that is counted in seconds: 68 years, within what times are reckoned in."""

Glob = Annotated[str, Field(min_length=1, max_length=1024)]
JobType = Literal["extract", "classify", "ocr", "ner", "transform", "pipeline"]
JobPhase = Literal["Pending", "Initializing", "Running", "Succeeded", "Failed", "Cancelled"]
EndPhase = Literal["Succeeded", "Failed", "Cancelled"]
DeletionPolicy = Literal["DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone"]


class JobInput(Model):
    """Where the documents are."""

    uri: str = Field(
        default="",
        description="One document (s3://bucket/path/file.pdf), or all documents under a prefix that ends with a slash "
        "(s3://bucket/path/). Also gs://bucket/path/ and az://container/path/: what is there is copied into the "
        "cluster's object store, each document when its turn comes, and taken away at its end.",
    )
    failed_of: str = Field(
        default="",
        max_length=253,
        description="Instead of uri: the name of a MarieJob of the namespace that has ended, whose failed documents "
        "are to be tried again.",
    )
    include: tuple[Glob, ...] = Field(
        default=(),
        max_length=32,
        description="Globs on the keys below the prefix, such as *.pdf or 2026/*: only documents that match one are "
        "taken. * matches slashes too.",
    )
    exclude: tuple[Glob, ...] = Field(
        default=(),
        max_length=32,
        description="Globs on the keys below the prefix: documents that match one are left out, even if include "
        "names them.",
    )
    content_type: str = Field(default="application/pdf", description="MIME type of the documents, such as image/tiff.")
    data: str = Field(
        default="",
        description="Instead of uri: one small document itself, in base64. It is put into the cluster's object store, "
        "and taken away when the job has ended.",
    )
    config_map_ref: LocalObjectReference | None = Field(
        default=None,
        description="Instead of uri: ConfigMap of the namespace whose keys are documents, which are put into the "
        "cluster's object store, and taken away when the job has ended.",
    )
    secret_ref: LocalObjectReference | None = Field(
        default=None,
        description="Instead of uri: Secret of the namespace whose keys are documents, which are put into the "
        "cluster's object store, and taken away when the job has ended.",
    )
    credentials_secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret by which the operator lists the prefix; its keys are AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_ENDPOINT_URL and AWS_REGION; for gs:// "
        "GOOGLE_APPLICATION_CREDENTIALS_JSON; for az:// AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or "
        "AZURE_STORAGE_SAS_TOKEN. Without it, the operator's own environment is used.",
    )


class JobOutput(Model):
    """Where the results should go."""

    uri: str = Field(
        default="",
        description="Prefix that results are copied to, such as s3://bucket/results/, gs://bucket/results/ or "
        "az://container/results/; each document gets a folder of its name there. Without it, results stay where Marie "
        "stores them.",
    )
    credentials_secret_ref: SecretReference | None = Field(
        default=None,
        description="Secret by which the operator writes results; its keys are those of input.credentialsSecretRef, "
        "which is used without it where both are of one kind of store, or else the operator's own environment, or "
        "else the cluster's backingServices.s3.",
    )
    format: Literal["json", "xml", "csv", "yaml"] = Field(
        default="json",
        description="Which of the results are copied: with json all that Marie stores, results in JSON and what it "
        "renders from them; with xml only what it renders in XML. Marie stores nothing in csv and yaml, which are "
        "refused.",
    )
    config_map_ref: LocalObjectReference | None = Field(
        default=None,
        description="ConfigMap of the namespace that says, once the job has ended, how it ended and where its results "
        "are: phase, message, outputUri, manifestUri and counts, each under a key of its own. It is made if it is not "
        "there, and then goes with the job.",
    )


class JobSLA(Model):
    """Deadlines, as Go durations counted from the job's start ("30m", "1h30m")."""

    soft_deadline: str = Field(
        default="",
        max_length=DEADLINE_MAX_LENGTH,
        description='Time from the start after which the job counts as late, such as "30m"; it goes on.',
    )
    hard_deadline: str = Field(
        default="",
        max_length=DEADLINE_MAX_LENGTH,
        description='Time from the start after which the job fails, such as "1h30m"; not before softDeadline.',
    )


class JobBatch(Model):
    """Limits of a job over a prefix."""

    max_in_flight: Int32 = Field(
        default=10,
        ge=1,
        le=1000,
        description="Documents that Marie may have at the same time; the rest waits. Take several times as many as "
        "the executors have slots, so that they never wait. Fewer are in flight when keys are very long.",
    )
    max_documents: Int32 | None = Field(
        default=None,
        ge=1,
        description="Most documents to process; the job ends after that many, in the order of their keys.",
    )
    max_failed: IntOrPercent | None = Field(
        default=None,
        description="Documents that may fail for good, as a number or as a share of all (5 or 5%). With more, the job "
        "fails at once; with fewer, it is Complete. A share is judged once the prefix is listed to its end. Without "
        "it, every document is tried, and any failure fails the job at its end.",
    )


class SubmitterConfig(Model):
    """How the submitter Job of K8sJobSubmission runs."""

    backoff_limit: Int32 = Field(
        default=2,
        ge=0,
        description="How often the submitter's pod is made again when it fails, for each attempt at the document. A "
        "new pod submits nothing that was submitted before.",
    )


class DeletionCondition(Model):
    """When a deletion rule applies."""

    phase: EndPhase | None = Field(
        default=None, description="The phase that the job ended in: Succeeded, Failed or Cancelled; without it, any."
    )
    ttl_seconds: Int32 = Field(default=0, ge=0, description="Seconds from the job's end after which the rule applies.")


class DeletionRule(Model):
    """What is deleted after a job's end."""

    policy: DeletionPolicy = Field(
        description="DeleteCluster: the job's own cluster. DeleteWorkers: the pods of its executor groups, which are "
        "suspended; the server stays. DeleteSelf: the job, and with it its own cluster. DeleteNone: nothing."
    )
    condition: DeletionCondition = Field(
        default_factory=DeletionCondition,
        description="When that happens; without it, at the job's end, however it ended.",
    )


class DeletionStrategy(Model):
    """What is deleted after a job's end, and when."""

    deletion_rules: tuple[DeletionRule, ...] = Field(
        min_length=1,
        max_length=32,
        description="Each applies once its condition holds; of several that do, the one that deletes most. Where none "
        "names the phase that the job ended in, its own cluster is deleted at once.",
    )


class MarieJobSpec(Model):
    """What the user wants done."""

    cluster_ref: str = Field(
        default="",
        max_length=253,
        description="Name of the MarieCluster in the same namespace that does the work. Give this, clusterSelector or "
        "clusterSpec.",
    )
    cluster_selector: dict[str, str] = Field(
        default_factory=dict,
        description="Labels of the MarieCluster in the same namespace that does the work. Give this, clusterRef or "
        "clusterSpec.",
    )
    cluster_spec: MarieClusterSpec | None = Field(
        default=None,
        description="Spec of a MarieCluster of the job's own, which is made for it and goes with it. Give this, "
        "clusterRef or clusterSelector. Its pod templates are checked when the cluster is made.",
    )
    job_type: JobType = Field(
        default="pipeline", description="Kind of processing; it selects the planner when planner is not given."
    )
    planner: str = Field(
        default="",
        max_length=253,
        description="Name of the query planner, as the gateway lists them, that turns a document into tasks.",
    )
    entrypoint: str = Field(
        default="",
        description='Steps of a pipeline for people to read, such as "classify -> ocr"; the planner decides.',
    )
    submission_mode: Literal["HTTPSubmission", "K8sJobSubmission"] = Field(
        default="HTTPSubmission",
        description="HTTPSubmission: the operator submits the documents. K8sJobSubmission: the pod of a Job submits "
        "the document, follows it, prints its progress, and ends as it does; for jobs of one document.",
    )
    submitter_pod_template: PodTemplate | None = Field(
        default=None,
        description="Pod template of the submitter Job; only with submissionMode K8sJobSubmission. What it leaves out "
        "is filled in: the operator's image and command, the environment (MARIE_SERVER_URL, MARIE_API_KEY "
        'and so on), resources. The container is the one named "submitter", else the first.',
    )
    submitter_config: SubmitterConfig = Field(
        default_factory=SubmitterConfig, description="How the submitter Job runs, with submissionMode K8sJobSubmission."
    )
    input: JobInput = Field(default_factory=JobInput, description="Where the documents are.")
    output: JobOutput = Field(default_factory=JobOutput, description="Where the results should go.")
    options: dict[str, str] = Field(
        default_factory=dict, description="Further settings that are passed to Marie with each document, by name."
    )
    batch: JobBatch = Field(default_factory=JobBatch, description="Limits of a job over a prefix of documents.")
    sla: JobSLA | None = Field(default=None, description="Deadlines of the job, counted from its start.")
    priority: Int32 = Field(
        default=0,
        ge=-100,
        le=100,
        description="Importance among the jobs of a cluster; -100 to 100. When the cluster has as many documents as it "
        "is given at a time, jobs of higher priority send theirs first; a minute of waiting counts as one point.",
    )
    backoff_limit: Int32 = Field(
        default=3, ge=0, description="How often a document that failed is submitted again before it counts as failed."
    )
    active_deadline_seconds: Int64 | None = Field(
        default=None,
        ge=1,
        le=LONGEST_SECONDS,
        description="Seconds from the start after which the job fails, whatever is still in flight.",
    )
    ttl_seconds_after_finished: Int32 | None = Field(
        default=None,
        ge=0,
        description="Seconds from its end after which the job is deleted, and with it a cluster of its own; without "
        "it, the job is kept.",
    )
    shutdown_after_job_finishes: Bool = Field(
        default=False,
        description="Set to true to have a cluster of the job's own (clusterSpec) deleted when the job ends: at once, "
        "or ttlSecondsAfterFinished after. Other clusters are shared, and stay.",
    )
    deletion_strategy: DeletionStrategy | None = Field(
        default=None,
        description="What is deleted after the job's end, and when, where shutdownAfterJobFinishes and "
        "ttlSecondsAfterFinished are not enough; instead of these.",
    )
    managed_by: ManagedBy = ""
    suspend: Bool = Field(
        default=False,
        description="Set to true to submit no further documents; false goes on where the job stopped.",
    )


class DocumentInFlight(Model):
    """One document between the intent to submit it and its end."""

    uri: str = Field(description="Where the document is.")
    ref_id: str = Field(description="The id under which Marie files the document; the same after a restart.")
    attempt: Int32 = Field(default=0, description="How many attempts at the document came before.")
    dag_id: str = Field(default="", description="Marie's id of the document's work, once Marie confirmed it.")
    not_before: Time | None = Field(
        default=None, description="When a document that failed or was taken back is submitted again."
    )
    since: Time | None = Field(default=None, description="When the document was taken up, for the manifest of results.")
    cancelling: Bool | None = Field(
        default=None,
        description="Whether the operator cancels it in Marie's database, and that is not seen to hold yet.",
    )
    interrupted: Int32 | None = Field(
        default=None, description="How many of its attempts the operator took back; these are no failures."
    )


class DocumentFailure(Model):
    """One document that ended without a result."""

    uri: str = Field(description="Where the document is.")
    message: str = Field(description="Why it failed, in Marie's words.")


class JobDocuments(Model):
    """Progress over the documents of a job."""

    total: Int32 | None = Field(default=None, description="Documents of the job, once its prefix is listed to the end.")
    listed: Int32 = Field(default=0, description="Documents found so far.")
    filtered: Int32 = Field(default=0, description="Documents that input.include and input.exclude left out so far.")
    cursor: str = Field(default="", description="The last key that was listed; listing goes on after it.")
    succeeded: Int32 = Field(default=0, description="Documents that ended with a result.")
    failed: Int32 = Field(default=0, description="Documents that failed for good.")
    in_flight: tuple[DocumentInFlight, ...] = Field(
        default=(), description="Documents that Marie has or is about to get."
    )
    failures: tuple[DocumentFailure, ...] = Field(
        default=(), description="The first documents that failed, and why; the owned ConfigMaps have all of them."
    )
    failure_parts: Int32 = Field(
        default=0,
        description="How many ConfigMaps hold all failures: <job>-failures, <job>-failures-2 and so on.",
    )
    manifest_parts: Int32 = Field(
        default=0, description="The last part of the manifest of results whose documents are counted here."
    )


class JobError(Model):
    """Why the job failed."""

    code: str = Field(default="", description="The reason as one word that programs can match.")
    message: str = Field(default="", description="The reason as a sentence that says what to do.")
    details: str = Field(default="", description="What Marie or the object store answered.")


class JobResult(Model):
    """What came out."""

    output_uri: str = Field(default="", description="Where the results are.")
    manifest_uri: str = Field(
        default="",
        description="The list of all documents with their states, times, errors and results, one in JSON a line; of a "
        "job that was given up, a folder with parts of it.",
    )
    document_count: Int32 | None = Field(default=None, description="Documents that ended with a result.")
    page_count: Int32 | None = Field(default=None, description="Pages of these documents, where Marie tells.")
    summary: dict[str, str] = Field(default_factory=dict, description="Further figures of the job, by name.")


class MarieJobStatus(Model):
    """What the operator did and saw."""

    phase: JobPhase | None = Field(
        default=None, description="The state in one word, for people; programs watch the conditions."
    )
    message: str = Field(default="", description="What the job does or waits for, as a sentence.")
    observed_generation: Int64 | None = Field(
        default=None, description="The metadata.generation this status was computed from."
    )
    cluster_name: str = Field(default="", description="Name of the MarieCluster that does the work.")
    job_id: str = Field(default="", description="Marie's id of the job, when it has a single document.")
    dag_id: str = Field(default="", description="Marie's id of the work on the document, when it is a single one.")
    progress: Int32 | None = Field(default=None, description="Share of the work that has ended, in percent.")
    documents: JobDocuments | None = Field(default=None, description="Progress over the documents of the job.")
    queue_position: Int32 | None = Field(
        default=None, description="Place among the jobs that wait for their turn on the cluster, from 1."
    )
    retry_count: Int32 | None = Field(default=None, description="How often documents were submitted again, in total.")
    start_time: Time | None = Field(default=None, description="When the job started; deadlines count from here.")
    completion_time: Time | None = Field(default=None, description="When the job ended, with or without results.")
    duration: str = Field(default="", description='Time from start to end, such as "12m30s".')
    submitter_job_name: str = Field(default="", description="Name of the submitter Job of K8sJobSubmission.")
    result: JobResult | None = Field(default=None, description="What came out, once the job has ended.")
    error: JobError | None = Field(default=None, description="Why the job failed, once it has.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="What is true of the job: Submitted, Complete, Failed, FailureTarget, Suspended, SLAMissed, "
        "ResultsCopied, Paused.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


class MarieJob(Model):
    """Documents to process on a MarieCluster, by a deadline."""

    api_version: str = API_VERSION
    kind: Literal["MarieJob"] = "MarieJob"
    metadata: ObjectMeta
    spec: MarieJobSpec = Field(description="What should be done: which documents, on which cluster, by when.")
    status: MarieJobStatus = Field(
        default_factory=MarieJobStatus, description="What the operator did and saw last; written by the operator alone."
    )
