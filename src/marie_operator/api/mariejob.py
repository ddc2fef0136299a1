"""MarieJob: documents in, results out, by a deadline."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from marie_operator.api.meta import API_VERSION, Condition, LocalObjectReference, Model, ObjectMeta

JobType = Literal["extract", "classify", "ocr", "ner", "transform", "pipeline"]
JobPhase = Literal["Pending", "Initializing", "Running", "Succeeded", "Failed", "Cancelled"]


class JobInput(Model):
    """Where the documents are."""

    uri: str = ""
    content_type: str = "application/pdf"
    data: str = ""
    config_map_ref: LocalObjectReference | None = None
    secret_ref: LocalObjectReference | None = None
    credentials_secret_ref: LocalObjectReference | None = None


class JobOutput(Model):
    """Where the results should go."""

    uri: str = ""
    format: Literal["json", "xml", "csv", "yaml"] = "json"
    config_map_ref: LocalObjectReference | None = None


class JobSLA(Model):
    """Deadlines, as Go durations counted from the job's start ("30m", "1h30m")."""

    soft_deadline: str = ""
    hard_deadline: str = ""


class JobBatch(Model):
    """Limits of a job over a prefix."""

    max_in_flight: int = Field(default=10, ge=1, le=100)
    max_documents: int | None = Field(default=None, ge=1)


class MarieJobSpec(Model):
    """What the user wants done."""

    cluster_ref: str = ""
    cluster_selector: dict[str, str] = Field(default_factory=dict)
    job_type: JobType = "pipeline"
    planner: str = ""
    entrypoint: str = ""
    submission_mode: Literal["HTTPSubmission", "K8sJobSubmission"] = "HTTPSubmission"
    submitter_pod_template: dict[str, Any] | None = None
    input: JobInput = Field(default_factory=JobInput)
    output: JobOutput = Field(default_factory=JobOutput)
    options: dict[str, str] = Field(default_factory=dict)
    batch: JobBatch = Field(default_factory=JobBatch)
    sla: JobSLA | None = None
    priority: int = Field(default=0, ge=-100, le=100)
    backoff_limit: int = Field(default=3, ge=0)
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    shutdown_after_job_finishes: bool = False
    suspend: bool = False


class DocumentInFlight(Model):
    """One document between the intent to submit it and its end."""

    uri: str
    ref_id: str
    attempt: int = 0
    dag_id: str = ""
    not_before: datetime | None = None


class DocumentFailure(Model):
    """One document that ended without a result."""

    uri: str
    message: str


class JobDocuments(Model):
    """Progress over the documents of a job."""

    total: int | None = None
    listed: int = 0
    cursor: str = ""
    succeeded: int = 0
    failed: int = 0
    in_flight: tuple[DocumentInFlight, ...] = ()
    failures: tuple[DocumentFailure, ...] = ()


class JobError(Model):
    """Why the job failed."""

    code: str = ""
    message: str = ""
    details: str = ""


class JobResult(Model):
    """What came out."""

    output_uri: str = ""
    document_count: int | None = None
    page_count: int | None = None
    summary: dict[str, str] = Field(default_factory=dict)


class MarieJobStatus(Model):
    """What the operator did and saw."""

    phase: JobPhase | None = None
    message: str = ""
    observed_generation: int | None = None
    cluster_name: str = ""
    job_id: str = ""
    dag_id: str = ""
    progress: int | None = None
    documents: JobDocuments | None = None
    retry_count: int | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    duration: str = ""
    submitter_job_name: str = ""
    result: JobResult | None = None
    error: JobError | None = None
    conditions: tuple[Condition, ...] = ()


class MarieJob(Model):
    """Documents to process on a MarieCluster."""

    api_version: str = API_VERSION
    kind: Literal["MarieJob"] = "MarieJob"
    metadata: ObjectMeta
    spec: MarieJobSpec
    status: MarieJobStatus = Field(default_factory=MarieJobStatus)
