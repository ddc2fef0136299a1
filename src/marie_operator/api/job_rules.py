"""What makes a MarieJob contradict itself."""

import re
from collections.abc import Iterable

from marie_operator.api import duration
from marie_operator.api.cluster_rules import CLUSTER_RULES, EXECUTOR_AFFIXES, LONGEST_NAME
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.api.rule import Rule, Transition, field_if, no_container

SHORTEST_OWN_NAME = 12
"""Characters that the name of a job's own cluster has at least; see builders.own_cluster."""
_SUBDOMAIN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""What names a ConfigMap; without a backslash, which CEL would read as its own."""
LONGEST_OWN_GROUP = LONGEST_NAME - EXECUTOR_AFFIXES - SHORTEST_OWN_NAME

_SCHEMES = "^(s3|gs|az)://"
"""Of the object stores that the operator reaches."""


def _kept(*path: str) -> str:
    """That a text of the spec is what it was; absent and empty are the same."""
    fields = [".".join(("spec", *path[:length])) for length in range(1, len(path) + 1)]

    def text(of: str) -> str:
        return f"({' && '.join(f'has({of}.{field})' for field in fields)} ? {of}.{fields[-1]} : '')"

    return f"{text('self')} == {text('oldSelf')}"


_HAS_DOCUMENTS = "has(self.status) && has(self.status.documents)"
_BEGUN = f"{_HAS_DOCUMENTS} && has(self.status.documents.listed) && self.status.documents.listed > 0"
_IN_FLIGHT = f"{_HAS_DOCUMENTS} && has(self.status.documents.inFlight) && size(self.status.documents.inFlight) > 0"
_SOURCES = (("uri",), ("failedOf",), ("data",), ("configMapRef", "name"), ("secretRef", "name"))
_SAME_SOURCE = " && ".join(_kept("input", *source) for source in _SOURCES)
_SAME_CLUSTER = (
    f"!has(self.spec.clusterRef) || self.spec.clusterRef == '' || {_kept('clusterRef')} || "
    "(has(self.status.clusterName) && self.spec.clusterRef == self.status.clusterName)"
)

JOB_TRANSITIONS = (
    Transition(
        at="spec",
        cel="has(self.clusterSpec) == has(oldSelf.clusterSpec)",
        message="a job keeps its own cluster, or has none, for as long as it is there: delete the job and make it anew",
    ),
    Transition(
        at="",
        cel=f"!({_BEGUN}) || ({_SAME_SOURCE})",
        message="the job has taken documents, and keeps to where they are: leave uri, failedOf, data, configMapRef and "
        "secretRef of input as they were, and make a new job for other documents",
    ),
    Transition(
        at="",
        cel=f"!({_BEGUN}) || {_kept('jobType')}",
        message="the job has taken documents, whose results are kept by jobType: leave it as it was, and make a new "
        "job for another",
    ),
    Transition(
        at="",
        cel=f"!({_IN_FLIGHT}) || {_SAME_CLUSTER}",
        message="the cluster has documents of the job in hand: leave clusterRef as it was, and make a new job for "
        "another cluster",
    ),
)
"""The rules about changes of jobs alone."""


def _deadline(field: str) -> Rule[MarieJob]:
    """The rule that a deadline, when given, is a positive duration."""

    def broken(job: MarieJob) -> Iterable[str]:
        given = (
            {"softDeadline": job.spec.sla.soft_deadline, "hardDeadline": job.spec.sla.hard_deadline}
            if job.spec.sla
            else {}
        )
        value = given.get(field, "")
        return field_if(bool(value) and not _is_deadline(value), f"spec.sla.{field}")

    return Rule(
        at="spec.sla",
        cel=f"!has(self.{field}) || self.{field} == '' || {_deadline_cel(f'self.{field}')}",
        message=f'{field} is not a time span: write hours, minutes and seconds above zero, such as "30m" or "1h30m"',
        broken=broken,
    )


def _deadline_cel(value: str) -> str:
    pattern = duration.DEADLINE_PATTERN.replace("\\", "\\\\")
    return f"({value}.matches('{pattern}') && {value}.matches('[1-9]'))"


def _is_deadline(value: str) -> bool:
    return (
        re.fullmatch(duration.DEADLINE_PATTERN, value, re.ASCII) is not None and re.search("[1-9]", value) is not None
    )


def _soft_after_hard(job: MarieJob) -> Iterable[str]:
    sla = job.spec.sla
    if sla is None or not _is_deadline(sla.soft_deadline) or not _is_deadline(sla.hard_deadline):
        return ()
    return field_if(duration.parse(sla.soft_deadline) > duration.parse(sla.hard_deadline), "spec.sla.softDeadline")


def _restart_policy(job: MarieJob) -> Iterable[str]:
    policy = ((job.spec.submitter_pod_template or {}).get("spec") or {}).get("restartPolicy", "Never")
    return field_if(policy not in ("Never", "OnFailure"), "spec.submitterPodTemplate.spec.restartPolicy")


def _filters(job: MarieJob) -> Iterable[str]:
    given = job.spec.input
    wrong = not given.uri.endswith("/") and bool(given.include or given.exclude)
    return field_if(wrong, "spec.input.include" if given.include else "spec.input.exclude")


def _named_clusters(job: MarieJob) -> list[str]:
    """The fields that say which cluster does the work."""
    spec = job.spec
    given = {
        "clusterRef": bool(spec.cluster_ref),
        "clusterSelector": bool(spec.cluster_selector),
        "clusterSpec": spec.cluster_spec is not None,
    }
    return [f"spec.{field}" for field, is_given in given.items() if is_given]


def _named_sources(job: MarieJob) -> list[str]:
    """The fields that say where documents are."""
    given = job.spec.input
    found = {
        "uri": given.uri,
        "failedOf": given.failed_of,
        "data": given.data,
        "configMapRef": given.config_map_ref is not None and given.config_map_ref.name,
        "secretRef": given.secret_ref is not None and given.secret_ref.name,
    }
    return [f"spec.input.{field}" for field, is_given in found.items() if is_given]


def _report(job: MarieJob) -> Iterable[str]:
    reference = job.spec.output.config_map_ref
    named = reference is not None and reference.name
    return field_if(bool(named) and not re.fullmatch(_SUBDOMAIN, str(named)), "spec.output.configMapRef.name")


def _in_own_cluster(rule: Rule[MarieCluster]) -> Rule[MarieJob]:
    """A rule about clusters, for the one within a job."""

    def broken(job: MarieJob) -> Iterable[str]:
        if job.spec.cluster_spec is None:
            return ()
        cluster = MarieCluster(metadata=job.metadata, spec=job.spec.cluster_spec)
        return [field.replace("spec.", "spec.clusterSpec.", 1) for field in rule.broken(cluster)]

    return Rule(rule.at.replace("spec", "spec.clusterSpec", 1), rule.cel, rule.message, broken)


def _long_groups(job: MarieJob) -> Iterable[str]:
    groups = job.spec.cluster_spec.executor_group_specs if job.spec.cluster_spec else ()
    for index, group in enumerate(groups):
        if len(group.group_name) > LONGEST_OWN_GROUP:
            yield f"spec.clusterSpec.executorGroupSpecs[{index}].groupName"


def _rules_of_own(job: MarieJob) -> Iterable[str]:
    strategy = job.spec.deletion_strategy
    if strategy is None or job.spec.cluster_spec is not None:
        return
    for index, rule in enumerate(strategy.deletion_rules):
        if rule.policy in {"DeleteCluster", "DeleteWorkers"}:
            yield f"spec.deletionStrategy.deletionRules[{index}].policy"


def _wrong_scheme(uri: str) -> bool:
    return bool(uri) and re.match(_SCHEMES, uri) is None


def _many_by_pod(job: MarieJob) -> Iterable[str]:
    uri = job.spec.input.uri
    many = bool(_named_sources(job)) and (not uri or uri.endswith("/"))
    return field_if(many and job.spec.submission_mode == "K8sJobSubmission", "spec.submissionMode")


_CLUSTER_REF = "(has(self.clusterRef) && self.clusterRef != '')"
_CLUSTER_SELECTOR = "(has(self.clusterSelector) && size(self.clusterSelector) > 0)"
_CLUSTER_SPEC = "has(self.clusterSpec)"
_GIVEN = " + ".join(f"({each} ? 1 : 0)" for each in (_CLUSTER_REF, _CLUSTER_SELECTOR, _CLUSTER_SPEC))
_SOURCES_GIVEN = " + ".join(
    [
        *(f"(has(self.{field}) && self.{field} != '' ? 1 : 0)" for field in ("uri", "failedOf", "data")),
        *(
            f"(has(self.{field}) && has(self.{field}.name) && self.{field}.name != '' ? 1 : 0)"
            for field in ("configMapRef", "secretRef")
        ),
    ]
)

JOB_RULES: tuple[Rule[MarieJob], ...] = (
    Rule(
        at="spec",
        cel=f"{_GIVEN} <= 1",
        message="more than one cluster is named: keep one of clusterRef, clusterSelector and clusterSpec",
        broken=lambda job: _named_clusters(job)[1:2],
    ),
    Rule(
        at="spec",
        cel=f"{_GIVEN} > 0",
        message="no cluster is named: give clusterRef the name of a MarieCluster, clusterSelector its labels, or "
        "clusterSpec the spec of one of the job's own",
        broken=lambda job: field_if(not _named_clusters(job), "spec.clusterRef"),
    ),
    *(_in_own_cluster(rule) for rule in CLUSTER_RULES if rule.at),
    Rule(
        at="spec.clusterSpec",
        cel=f"!has(self.executorGroupSpecs) || self.executorGroupSpecs.all(group, size(group.groupName) <= "
        f"{LONGEST_OWN_GROUP})",
        message=f"each Service <cluster>-executor-<groupName>-svc must fit in {LONGEST_NAME} characters: shorten the "
        f"groupName to {LONGEST_OWN_GROUP} characters",
        broken=_long_groups,
    ),
    Rule(
        at="spec",
        cel="!has(self.deletionStrategy) || !((has(self.shutdownAfterJobFinishes) && self.shutdownAfterJobFinishes) || "
        "has(self.ttlSecondsAfterFinished))",
        message="deletionStrategy says all of what is deleted: remove shutdownAfterJobFinishes and "
        "ttlSecondsAfterFinished, or deletionStrategy",
        broken=lambda job: field_if(
            job.spec.deletion_strategy is not None
            and (job.spec.shutdown_after_job_finishes or job.spec.ttl_seconds_after_finished is not None),
            "spec.deletionStrategy",
        ),
    ),
    Rule(
        at="spec",
        cel=f"{_CLUSTER_SPEC} || !has(self.deletionStrategy) || self.deletionStrategy.deletionRules.all(rule, "
        "!(rule.policy in ['DeleteCluster', 'DeleteWorkers']))",
        message="a cluster that is not the job's own is not deleted with it: use the policies DeleteSelf and "
        "DeleteNone, or clusterSpec",
        broken=_rules_of_own,
    ),
    Rule(
        at="spec",
        cel="!has(self.submitterPodTemplate) || "
        "(has(self.submissionMode) && self.submissionMode == 'K8sJobSubmission')",
        message="submitterPodTemplate is used by submissionMode K8sJobSubmission alone: set that mode, "
        "or remove the template",
        broken=lambda job: field_if(
            job.spec.submitter_pod_template is not None and job.spec.submission_mode != "K8sJobSubmission",
            "spec.submitterPodTemplate",
        ),
    ),
    Rule(
        at="spec",
        cel="!has(self.submitterPodTemplate) || "
        "(has(self.submitterPodTemplate.spec) && size(self.submitterPodTemplate.spec.containers) > 0)",
        message="the pod template needs a container: give submitterPodTemplate.spec.containers one with a name "
        "and an image",
        broken=lambda job: field_if(
            job.spec.submitter_pod_template is not None and no_container(job.spec.submitter_pod_template),
            "spec.submitterPodTemplate",
        ),
    ),
    Rule(
        at="spec",
        cel="!has(self.submitterPodTemplate) || !has(self.submitterPodTemplate.spec) || "
        "!has(self.submitterPodTemplate.spec.restartPolicy) || "
        "self.submitterPodTemplate.spec.restartPolicy in ['Never', 'OnFailure']",
        message="pods of a Job end: set submitterPodTemplate.spec.restartPolicy to Never or OnFailure",
        broken=_restart_policy,
    ),
    Rule(
        at="spec",
        cel=f"has(self.input) && {_SOURCES_GIVEN.replace('self.', 'self.input.')} > 0",
        message='no documents are named: give input.uri, like "s3://bucket/invoice.pdf" for one document or '
        '"s3://bucket/invoices/" for all under a prefix, or failedOf, data, configMapRef or secretRef instead',
        broken=lambda job: field_if(not _named_sources(job), "spec.input"),
    ),
    Rule(
        at="spec",
        cel="!has(self.submissionMode) || self.submissionMode != 'K8sJobSubmission' || !has(self.input) || "
        f"{_SOURCES_GIVEN.replace('self.', 'self.input.')} == 0 || "
        "(has(self.input.uri) && self.input.uri != '' && !self.input.uri.endsWith('/'))",
        message="submissionMode K8sJobSubmission is for one document, which input.uri names: use HTTPSubmission, in "
        "which the operator lists the documents and bounds how many are in flight",
        broken=_many_by_pod,
    ),
    Rule(
        at="spec.output",
        cel=f"!has(self.uri) || self.uri == '' || self.uri.matches('{_SCHEMES}')",
        message='uri is in no object store that results are copied to: write it like "s3://bucket/results/", or with '
        "gs:// or az://",
        broken=lambda job: field_if(_wrong_scheme(job.spec.output.uri), "spec.output.uri"),
    ),
    Rule(
        at="spec.output",
        cel="!has(self.format) || self.format in ['json', 'xml']",
        message="Marie stores nothing in csv or yaml: set format to json, or leave it out, and convert what is copied; "
        "or to xml",
        broken=lambda job: field_if(job.spec.output.format not in {"json", "xml"}, "spec.output.format"),
    ),
    Rule(
        at="spec.output",
        cel="!has(self.configMapRef) || !has(self.configMapRef.name) || self.configMapRef.name == '' || "
        f"self.configMapRef.name.matches('{_SUBDOMAIN}')",
        message="configMapRef names no ConfigMap: use lower-case letters, digits, - and ., with a letter or a digit at "
        "both ends of what a dot parts",
        broken=_report,
    ),
    Rule(
        at="spec.input",
        cel=f"!has(self.uri) || self.uri == '' || self.uri.matches('{_SCHEMES}')",
        message='uri is in no object store that documents are taken from: write it like "s3://bucket/invoice.pdf" for '
        'one document or "s3://bucket/invoices/" for all under a prefix, or with gs:// or az://',
        broken=lambda job: field_if(_wrong_scheme(job.spec.input.uri), "spec.input.uri"),
    ),
    Rule(
        at="spec.input",
        cel="((!has(self.include) || size(self.include) == 0) && (!has(self.exclude) || size(self.exclude) == 0)) || "
        "(has(self.uri) && self.uri.endsWith('/'))",
        message="include and exclude choose among the documents under a prefix: end uri with / for all under it, "
        "or remove them",
        broken=_filters,
    ),
    Rule(
        at="spec.input",
        cel=f"{_SOURCES_GIVEN} <= 1",
        message="more than one source of documents is named: keep one of uri, failedOf, data, configMapRef and "
        "secretRef",
        broken=lambda job: _named_sources(job)[1:2],
    ),
    Rule(
        at="",
        cel="!has(self.spec.input) || !has(self.spec.input.failedOf) || self.spec.input.failedOf != self.metadata.name",
        message="a job cannot take its own failures: give failedOf the name of another job, which has ended",
        broken=lambda job: field_if(
            bool(job.spec.input.failed_of) and job.spec.input.failed_of == job.metadata.name, "spec.input.failedOf"
        ),
    ),
    _deadline("softDeadline"),
    _deadline("hardDeadline"),
    Rule(
        at="spec.sla",
        cel="!has(self.softDeadline) || !has(self.hardDeadline) || "
        f"!{_deadline_cel('self.softDeadline')} || !{_deadline_cel('self.hardDeadline')} || "
        "duration(self.softDeadline) <= duration(self.hardDeadline)",
        message="softDeadline is after hardDeadline: shorten the one or lengthen the other",
        broken=_soft_after_hard,
    ),
)
