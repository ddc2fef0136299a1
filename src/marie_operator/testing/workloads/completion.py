"""What a Job's pods mean for it: counts, conditions, and which pods to make or to end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from marie_operator.testing.workloads.objects import (
    FINISHED_PHASES,
    Condition,
    Object,
    annotations_of,
    condition_in,
    is_active,
    is_deleting,
    is_ready,
    parsed,
    uid_of,
    with_condition,
    written,
)
from marie_operator.testing.workloads.ranking import victims

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FIRST_BACKOFF, LAST_BACKOFF = 10.0, 600.0
_REACHED = "Reached expected number of succeeded pods"


@dataclass(frozen=True)
class Counted:
    """What is known of a Job's ended pods.

    Attributes:
        succeeded: Pods that succeeded, counted for good.
        failed: Pods that failed, counted for good.
        succeeding: Uids of those that still have the finalizer, which goes once they are written down.
        failing: The same of those that failed.
    """

    succeeded: int
    failed: int
    succeeding: frozenset[str]
    failing: frozenset[str]

    @property
    def successes(self) -> int:
        """All that succeeded."""
        return self.succeeded + len(self.succeeding)

    @property
    def failures(self) -> int:
        """All that failed."""
        return self.failed + len(self.failing)

    @property
    def pending(self) -> frozenset[str]:
        """Those that are written down, but not yet counted for good."""
        return self.succeeding | self.failing


def counted(job: Object, pods: Iterable[Object]) -> Counted:
    """Count each pod once, whenever one looks: written down first, then freed of its finalizer, then counted."""
    status, known = job.get("status", {}), {uid_of(each): each for each in pods}
    before = status.get("uncountedTerminatedPods") or {}
    succeeding, failing = set(before.get("succeeded") or ()), set(before.get("failed") or ())
    held = {uid for uid, each in known.items() if has_finalizer(each)}
    succeeded = status.get("succeeded", 0) + len(succeeding - held)
    failed = status.get("failed", 0) + len(failing - held)
    ended = {uid: known[uid] for uid in held - succeeding - failing}
    succeeding |= {uid for uid, each in ended.items() if _phase(each) == "Succeeded"}
    failing |= {uid for uid, each in ended.items() if has_failed(job, each)}
    return Counted(succeeded, failed, frozenset(succeeding & held), frozenset(failing & held))


def has_finalizer(pod: Object) -> bool:
    """Whether a pod waits to be counted."""
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def has_failed(job: Object, pod: Object) -> bool:
    """Whether a pod counts as failed; one that is being deleted does, unless only an end proves it."""
    if _phase(pod) == "Failed":
        return True
    only_ended = job["spec"].get("podReplacementPolicy") == "Failed"
    return is_deleting(pod) and _phase(pod) != "Succeeded" and not only_ended


@dataclass(frozen=True)
class Course:
    """What is to happen to a Job.

    Attributes:
        ends: SuccessCriteriaMet or FailureTarget, once it is known how the Job ends.
        create: How many pods to make.
        end: Pods to end that count as failures.
        withdraw: Pods to end that do not count.
        again: Seconds until time alone may change this.
    """

    ends: Condition | None = None
    create: int = 0
    end: Sequence[Object] = ()
    withdraw: Sequence[Object] = ()
    again: float | None = None


def course(job: Object, pods: Sequence[Object], done: Counted, now: datetime) -> Course:
    """Decide how a Job that has not ended goes on.

    Args:
        job: The Job.
        pods: Its pods.
        done: What has ended.
        now: The time.
    """
    active = [each for each in pods if is_active(each)]
    ends = end_of(job, done, pods, now)
    if ends is not None:
        failed = ends["type"] == "FailureTarget"
        return Course(ends, end=active if failed else (), withdraw=() if failed else active)
    if is_deleting(job):
        return Course()
    if job["spec"].get("suspend"):
        return Course(withdraw=active)
    wanted = _wanted(job, done, len(active))
    terminating = sum(is_terminating(each) for each in pods)
    missing = wanted - len(active) - (terminating if job["spec"].get("podReplacementPolicy") == "Failed" else 0)
    deadline = _deadline_in(job, now)
    if missing <= 0:
        return Course(withdraw=victims(active, len(active) - wanted, now), again=deadline)
    pause = backoff_in(pods, now)
    if pause > 0:
        return Course(again=min(pause, deadline) if deadline is not None else pause)
    return Course(create=missing, again=deadline)


def end_of(job: Object, done: Counted, pods: Sequence[Object], now: datetime) -> Condition | None:
    """How a Job ends, as a condition; None when it goes on."""
    conditions: list[Condition] = job.get("status", {}).get("conditions") or []
    for name in ("FailureTarget", "SuccessCriteriaMet"):
        if (told := condition_in(conditions, name)) is not None and told["status"] == "True":
            return told
    spec = job["spec"]
    if done.failures > spec.get("backoffLimit", 6) or _restarts_exceed(job, pods):
        message = "Job has reached the specified backoff limit"
        return condition("FailureTarget", "True", "BackoffLimitExceeded", message, now)
    due = _deadline_in(job, now)
    if due is not None and due <= 0:
        message = "Job was active longer than specified deadline"
        return condition("FailureTarget", "True", "DeadlineExceeded", message, now)
    completions = spec.get("completions")
    if completions is None:
        reached = done.successes > 0 and not any(is_active(each) for each in pods)
    else:
        reached = _progress(job, done, pods) >= completions
    return condition("SuccessCriteriaMet", "True", "CompletionsReached", _REACHED, now) if reached else None


def _restarts_exceed(job: Object, pods: Iterable[Object]) -> bool:
    """Whether containers that restart in their pods have done so too often."""
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    running = [each for each in pods if _phase(each) in {"Running", "Pending"}]
    restarts = sum(
        status.get("restartCount", 0)
        for pod in running
        for name in ("initContainerStatuses", "containerStatuses")
        for status in pod.get("status", {}).get(name) or ()
    )
    limit = job["spec"].get("backoffLimit", 6)
    return bool(restarts >= limit if limit else restarts > 0)


def _wanted(job: Object, done: Counted, active: int) -> int:
    completions, parallelism = job["spec"].get("completions"), job["spec"].get("parallelism", 1)
    if completions is None:
        return min(active, parallelism) if done.successes else int(parallelism)
    return int(min(parallelism, completions - done.successes))


def is_terminating(pod: Object) -> bool:
    """Whether a pod is about to end."""
    return is_deleting(pod) and _phase(pod) not in FINISHED_PHASES


def backoff_in(pods: Iterable[Object], now: datetime) -> float:
    """Seconds until another pod may be made after failures: ten, doubled with each failure since the last success."""
    ended = [(when, _phase(each) == "Failed") for each in pods if (when := finished_at(each)) is not None]
    last_success = max((when for when, failed in ended if not failed), default=None)
    failures = [when for when, failed in ended if failed and (last_success is None or when > last_success)]
    if not failures:
        return 0.0
    pause = min(FIRST_BACKOFF * 2.0 ** min(len(failures) - 1, 10), LAST_BACKOFF)
    return float(max(0.0, pause - (now - max(failures)).total_seconds()))


def finished_at(pod: Object) -> datetime | None:
    """When a pod's containers had ended; None when they have not."""
    if _phase(pod) not in FINISHED_PHASES:
        return None
    status = pod["status"]
    ends = [(each.get("state") or {}).get("terminated") for each in status.get("containerStatuses") or ()]
    times = [time for each in ends if each and (time := parsed(each.get("finishedAt"))) is not None]
    ready = condition_in(status.get("conditions") or (), "Ready")
    fallback = (ready or {}).get("lastTransitionTime") or pod["metadata"].get("creationTimestamp")
    return max(times, default=parsed(fallback))


def _deadline_in(job: Object, now: datetime) -> float | None:
    limit, start = job["spec"].get("activeDeadlineSeconds"), parsed(job.get("status", {}).get("startTime"))
    if limit is None or start is None or job["spec"].get("suspend"):
        return None
    return max(0.0, (start + timedelta(seconds=limit) - now).total_seconds())


def indexes(text: str) -> set[int]:
    """The numbers that ``1,3-5`` names."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def compact(numbers: Iterable[int]) -> str:
    """Numbers as ``1,3-5``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" if b > a + 1 else f"{a},{b}" for a, b in runs)


def is_indexed(job: Object) -> bool:
    """Whether each completion has a number."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def completed(job: Object, pods: Iterable[Object]) -> set[int]:
    """The numbers of completions that there are."""
    new = {int(annotations_of(each).get(INDEX, "-1")) for each in pods if _phase(each) == "Succeeded"}
    return (indexes(job.get("status", {}).get("completedIndexes", "")) | new) - {-1}


def missing_indexes(job: Object, pods: Sequence[Object], count: int) -> list[int]:
    """The numbers of the next completions to work on."""
    busy = {int(annotations_of(each).get(INDEX, "-1")) for each in pods if is_active(each)}
    free = set(range(job["spec"]["completions"])) - completed(job, pods) - busy
    return sorted(free)[:count]


def _progress(job: Object, done: Counted, pods: Iterable[Object]) -> int:
    return len(completed(job, pods)) if is_indexed(job) else done.successes


def status(job: Object, pods: Sequence[Object], done: Counted, now: datetime) -> Object:
    """A Job's status, given its pods."""
    before = job.get("status", {})
    active = [each for each in pods if is_active(each)]
    terminating = [each for each in pods if is_terminating(each)]
    conditions = _suspension(job, before.get("conditions") or [], now)
    ends = end_of(job, done, pods, now)
    if ends is not None:
        conditions = with_condition(conditions, ends)
    over = ends is not None and not active and not terminating and not done.pending
    if over and ends is not None:
        final = "Failed" if ends["type"] == "FailureTarget" else "Complete"
        conditions = with_condition(conditions, condition(final, "True", ends["reason"], ends["message"], now))
    start = None if job["spec"].get("suspend") and ends is None else before.get("startTime") or written(now)
    uncounted = {"succeeded": sorted(done.succeeding), "failed": sorted(done.failing)}
    succeeded = len(completed(job, pods)) if is_indexed(job) else done.succeeded
    optional: Mapping[str, Any] = {
        "active": len(active),
        "succeeded": succeeded,
        "failed": done.failed,
        "conditions": conditions,
        "startTime": start,
        "completedIndexes": compact(completed(job, pods)) if is_indexed(job) else "",
        "completionTime": written(now) if over and ends is not None and ends["type"] != "FailureTarget" else None,
    }
    return {
        **{name: value for name, value in optional.items() if value},
        "ready": sum(is_ready(each) for each in active),
        "terminating": len(terminating),
        "uncountedTerminatedPods": {name: uids for name, uids in uncounted.items() if uids},
    }


def _suspension(job: Object, conditions: list[Condition], now: datetime) -> list[Condition]:
    if job["spec"].get("suspend"):
        return with_condition(conditions, condition("Suspended", "True", "JobSuspended", "Job suspended", now))
    told = condition_in(conditions, "Suspended")
    if told is None:
        return list(conditions)
    return with_condition(conditions, condition("Suspended", "False", "JobResumed", "Job resumed", now))


def condition(name: str, truth: str, reason: str, message: str, now: datetime) -> Condition:
    """A condition as of now."""
    times = {"lastProbeTime": written(now), "lastTransitionTime": written(now)}
    return {"type": name, "status": truth, "reason": reason, "message": message, **times}


def finished(job: Object) -> Condition | None:
    """The condition that says that a Job has ended."""
    conditions = job.get("status", {}).get("conditions") or ()
    found = (condition_in(conditions, name) for name in ("Complete", "Failed"))
    return next((each for each in found if each is not None and each["status"] == "True"), None)


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase", ""))
