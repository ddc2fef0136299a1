"""What makes an object contradict itself.

Each rule is written once, with one message: as CEL for the CRD, and as Python for objects stored before the rule.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from marie_operator.api import duration
from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.api.mariejob import MarieJob

Kind = TypeVar("Kind", MarieCluster, MarieJob)

# Deployments, Services and the Ingress are named after the cluster; see builders.association.
LONGEST_SERVER_SUFFIX = len("-server-headless")
EXECUTOR_AFFIXES = len("-executor-") + len("-svc")
LONGEST_NAME = 63
SHORTEST_OWN_NAME = 12
"""Characters that the name of a job's own cluster has at least; see builders.own_cluster."""
LONGEST_OWN_GROUP = LONGEST_NAME - EXECUTOR_AFFIXES - SHORTEST_OWN_NAME

_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"


class Problem(NamedTuple):
    """One contradiction: where it is (``spec.executorGroupSpecs[1].replicas``), and what to do about it."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class Rule(Generic[Kind]):
    """One rule.

    Attributes:
        at: the schema the CEL rule is attached to: property names with dots, ``[]`` for the items of a list;
            empty for the root.
        cel: true when the rule holds; only what CEL of Kubernetes 1.25 has.
        message: a sentence that says what to do.
        broken: the fields of an object that break the rule.
    """

    at: str
    cel: str
    message: str
    broken: Callable[[Kind], Iterable[str]]


class Transition(NamedTuple):
    """A rule about a change, which the API server alone can judge: nobody else sees what was before.

    Attributes:
        at: the schema the rule is attached to, as for ``Rule``.
        cel: true when the change is allowed; ``oldSelf`` is what was before.
        message: a sentence that says what to do.
    """

    at: str
    cel: str
    message: str


TRANSITIONS = (
    Transition(
        at="spec",
        cel="has(self.managedBy) == has(oldSelf.managedBy) && "
        "(!has(self.managedBy) || self.managedBy == oldSelf.managedBy)",
        message="managedBy cannot be changed: delete the object and make it anew",
    ),
)
"""The rules about changes of either kind."""

JOB_TRANSITIONS = (
    Transition(
        at="spec",
        cel="has(self.clusterSpec) == has(oldSelf.clusterSpec)",
        message="a job keeps its own cluster, or has none, for as long as it is there: delete the job and make it anew",
    ),
)
"""The rules about changes of jobs alone."""


def problems(obj: MarieCluster | MarieJob) -> list[Problem]:
    """Every rule an object breaks, in the order of the rules; empty for a valid one."""
    if isinstance(obj, MarieCluster):
        return list(_problems(CLUSTER_RULES, obj))
    return list(_problems(JOB_RULES, obj))


def _problems(rules: Iterable[Rule[Kind]], obj: Kind) -> Iterator[Problem]:
    return (Problem(field, rule.message) for rule in rules for field in rule.broken(obj))


def _groups(cluster: MarieCluster, field: str, breaks: Callable[[ExecutorGroupSpec], bool]) -> Iterator[str]:
    for index, group in enumerate(cluster.spec.executor_group_specs):
        if breaks(group):
            yield f"spec.executorGroupSpecs[{index}].{field}"


def _if(breaks: bool, field: str) -> Iterable[str]:
    return (field,) if breaks else ()


def _no_container(template: Mapping[str, Any]) -> bool:
    return not template.get("spec", {}).get("containers")


def _repeated(cluster: MarieCluster) -> Iterator[str]:
    count = Counter(group.group_name for group in cluster.spec.executor_group_specs)
    return _groups(cluster, "groupName", lambda group: count[group.group_name] > 1)


_HAS_CONTAINER = "has(self.template.spec) && size(self.template.spec.containers) > 0"
_CONTAINER_MESSAGE = "the pod template needs a container: give template.spec.containers one with a name and an image"


def _host_or_managed(service: str) -> Rule[MarieCluster]:
    """The rule that a service is either somewhere or managed."""

    def broken(cluster: MarieCluster) -> Iterable[str]:
        services = cluster.spec.backing_services
        if services is None:
            return ()
        found = services.etcd if service == "etcd" else services.postgres
        return _if(bool(found.host) == (found.managed is not None), f"spec.backingServices.{service}.host")

    return Rule(
        at=f"spec.backingServices.{service}",
        cel="(has(self.host) && self.host != '') != has(self.managed)",
        message=f"where {service} is must be said once: give host the name of a server, or write managed: {{}} "
        "for one that the operator runs",
        broken=broken,
    )


def _no_credentials(cluster: MarieCluster) -> Iterable[str]:
    services = cluster.spec.backing_services
    found = services.postgres if services else None
    wrong = found is not None and (found.managed is None) == (found.credentials_secret_ref is None)
    return _if(wrong, "spec.backingServices.postgres.credentialsSecretRef")


def _other_database(cluster: MarieCluster) -> Iterable[str]:
    services = cluster.spec.backing_services
    found = services.postgres if services else None
    wrong = found is not None and found.managed is not None and found.database != "postgres"
    return _if(wrong, "spec.backingServices.postgres.database")


def _fewest_above_most(cluster: MarieCluster) -> Iterable[str]:
    found = cluster.spec.scheduler
    wrong = found is not None and found.min_concurrent_dags > found.max_concurrent_dags
    return _if(wrong, "spec.scheduler.minConcurrentDags")


_TAKEN_PORTS = ("http", "grpc", "metrics")


def _taken_ports(cluster: MarieCluster) -> Iterator[str]:
    for index, port in enumerate(cluster.spec.server_spec.extra_ports):
        if port.name in _TAKEN_PORTS:
            yield f"spec.serverSpec.extraPorts[{index}].name"


def _unused_ingress(cluster: MarieCluster) -> Iterable[str]:
    return _if(cluster.spec.ingress is not None and not cluster.spec.enable_ingress, "spec.ingress")


def _peers(field: str) -> Rule[MarieCluster]:
    """The rule that a peer is either pods or addresses."""

    def broken(cluster: MarieCluster) -> Iterator[str]:
        policy = cluster.spec.network_policy
        for index, peer in enumerate(getattr(policy, field, ())):
            selects = peer.pod_selector is not None or peer.namespace_selector is not None
            if selects == (peer.ip_block is not None):
                yield f"spec.networkPolicy.{field}[{index}]"

    return Rule(
        at=f"spec.networkPolicy.{field}[]",
        cel="(has(self.podSelector) || has(self.namespaceSelector)) != has(self.ipBlock)",
        message=f"an entry of {field} is either pods or addresses: give podSelector, namespaceSelector or both, "
        "or ipBlock alone",
        broken=broken,
    )


CLUSTER_RULES: tuple[Rule[MarieCluster], ...] = (
    Rule(
        at="",
        cel=f"self.metadata.name.matches('{_NAME}')",
        message="Services are named after the cluster: rename it to lower-case letters, digits and dashes, "
        "starting with a letter",
        broken=lambda cluster: _if(not re.fullmatch(_NAME, cluster.metadata.name), "metadata.name"),
    ),
    Rule(
        at="",
        cel=f"size(self.metadata.name) <= {LONGEST_NAME - LONGEST_SERVER_SUFFIX}",
        message=f"the Service <name>-server-headless must fit in {LONGEST_NAME} characters: "
        f"rename the cluster to at most {LONGEST_NAME - LONGEST_SERVER_SUFFIX} characters",
        broken=lambda cluster: _if(len(cluster.metadata.name) > LONGEST_NAME - LONGEST_SERVER_SUFFIX, "metadata.name"),
    ),
    Rule(
        at="",
        cel="!has(self.spec.executorGroupSpecs) || self.spec.executorGroupSpecs.all(group, "
        f"size(self.metadata.name) + size(group.groupName) <= {LONGEST_NAME - EXECUTOR_AFFIXES})",
        message=f"each Service <name>-executor-<groupName>-svc must fit in {LONGEST_NAME} characters: shorten the "
        f"cluster's name or the groupName, to {LONGEST_NAME - EXECUTOR_AFFIXES} characters together",
        broken=lambda cluster: _groups(
            cluster,
            "groupName",
            lambda group: len(cluster.metadata.name) + len(group.group_name) > LONGEST_NAME - EXECUTOR_AFFIXES,
        ),
    ),
    Rule(
        at="spec.serverSpec",
        cel=_HAS_CONTAINER,
        message=_CONTAINER_MESSAGE,
        broken=lambda cluster: _if(_no_container(cluster.spec.server_spec.template), "spec.serverSpec.template"),
    ),
    Rule(
        at="spec.executorGroupSpecs",
        cel="self.all(group, self.exists_one(other, other.groupName == group.groupName))",
        message="two executor groups have the same groupName: rename one of them",
        broken=_repeated,
    ),
    Rule(
        at="spec.executorGroupSpecs[]",
        cel="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        message="minReplicas is above maxReplicas: lower the one or raise the other",
        broken=lambda cluster: _groups(
            cluster,
            "minReplicas",
            lambda group: (
                group.min_replicas is not None
                and group.max_replicas is not None
                and group.min_replicas > group.max_replicas
            ),
        ),
    ),
    Rule(
        at="spec.executorGroupSpecs[].modelCache",
        cel="!has(self.sizeLimit) || !has(self.claimName) || self.claimName == ''",
        message="sizeLimit bounds a cache of the pod's own: leave it out with claimName",
        broken=lambda cluster: _groups(
            cluster,
            "modelCache",
            lambda group: (
                group.model_cache is not None
                and bool(group.model_cache.claim_name)
                and group.model_cache.size_limit is not None
            ),
        ),
    ),
    Rule(
        at="spec.executorGroupSpecs[].modelCache",
        cel="!(has(self.readOnly) && self.readOnly) || (has(self.claimName) && self.claimName != '')",
        message="a cache of the pod's own begins empty and cannot be read-only: leave readOnly out, or set claimName",
        broken=lambda cluster: _groups(
            cluster,
            "modelCache",
            lambda group: (
                group.model_cache is not None and group.model_cache.read_only and not group.model_cache.claim_name
            ),
        ),
    ),
    Rule(
        at="spec.executorGroupSpecs[]",
        cel=_HAS_CONTAINER,
        message=_CONTAINER_MESSAGE,
        broken=lambda cluster: _groups(cluster, "template", lambda group: _no_container(group.template)),
    ),
    Rule(
        at="spec",
        cel="!has(self.ingress) || (has(self.enableIngress) && self.enableIngress)",
        message="ingress is given, but no Ingress is asked for: set enableIngress to true, or remove ingress",
        broken=_unused_ingress,
    ),
    Rule(
        at="spec.serverSpec.extraPorts[]",
        cel=f"!(self.name in [{', '.join(map(repr, _TAKEN_PORTS))}])",
        message=f"{', '.join(_TAKEN_PORTS)} are the names of Marie's own ports: give the port another",
        broken=_taken_ports,
    ),
    _peers("clients"),
    _peers("monitoring"),
    _host_or_managed("etcd"),
    _host_or_managed("postgres"),
    Rule(
        at="spec.backingServices.postgres",
        cel="has(self.managed) != has(self.credentialsSecretRef)",
        message="a server of your own needs its password, a managed one makes it: set credentialsSecretRef with host, "
        "and leave it out with managed",
        broken=_no_credentials,
    ),
    Rule(
        at="spec.backingServices.postgres",
        cel="!has(self.managed) || !has(self.database) || self.database == 'postgres'",
        message="the managed server's database is postgres: leave database out",
        broken=_other_database,
    ),
    Rule(
        at="spec.scheduler",
        cel="!has(self.minConcurrentDags) || !has(self.maxConcurrentDags) || "
        "self.minConcurrentDags <= self.maxConcurrentDags",
        message="minConcurrentDags is above maxConcurrentDags: lower the one or raise the other",
        broken=_fewest_above_most,
    ),
)


def _deadline(field: str) -> Rule[MarieJob]:
    """The rule that a deadline, when given, is a positive duration."""

    def broken(job: MarieJob) -> Iterable[str]:
        given = (
            {"softDeadline": job.spec.sla.soft_deadline, "hardDeadline": job.spec.sla.hard_deadline}
            if job.spec.sla
            else {}
        )
        value = given.get(field, "")
        return _if(bool(value) and not _is_deadline(value), f"spec.sla.{field}")

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
    return _if(duration.parse(sla.soft_deadline) > duration.parse(sla.hard_deadline), "spec.sla.softDeadline")


def _restart_policy(job: MarieJob) -> Iterable[str]:
    policy = ((job.spec.submitter_pod_template or {}).get("spec") or {}).get("restartPolicy", "Never")
    return _if(policy not in ("Never", "OnFailure"), "spec.submitterPodTemplate.spec.restartPolicy")


def _filters(job: MarieJob) -> Iterable[str]:
    given = job.spec.input
    wrong = not given.uri.endswith("/") and bool(given.include or given.exclude)
    return _if(wrong, "spec.input.include" if given.include else "spec.input.exclude")


def _named_clusters(job: MarieJob) -> list[str]:
    """The fields that say which cluster does the work."""
    spec = job.spec
    given = {
        "clusterRef": bool(spec.cluster_ref),
        "clusterSelector": bool(spec.cluster_selector),
        "clusterSpec": spec.cluster_spec is not None,
    }
    return [f"spec.{field}" for field, is_given in given.items() if is_given]


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


_CLUSTER_REF = "(has(self.clusterRef) && self.clusterRef != '')"
_CLUSTER_SELECTOR = "(has(self.clusterSelector) && size(self.clusterSelector) > 0)"
_CLUSTER_SPEC = "has(self.clusterSpec)"
_GIVEN = " + ".join(f"({each} ? 1 : 0)" for each in (_CLUSTER_REF, _CLUSTER_SELECTOR, _CLUSTER_SPEC))

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
        broken=lambda job: _if(not _named_clusters(job), "spec.clusterRef"),
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
        broken=lambda job: _if(
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
        broken=lambda job: _if(
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
        broken=lambda job: _if(
            job.spec.submitter_pod_template is not None and _no_container(job.spec.submitter_pod_template),
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
        at="spec.input",
        cel="((!has(self.include) || size(self.include) == 0) && (!has(self.exclude) || size(self.exclude) == 0)) || "
        "(has(self.uri) && self.uri.endsWith('/'))",
        message="include and exclude choose among the documents under a prefix: end uri with / for all under it, "
        "or remove them",
        broken=_filters,
    ),
    Rule(
        at="spec.input",
        cel="!has(self.failedOf) || self.failedOf == '' || !has(self.uri) || self.uri == ''",
        message="uri and failedOf are both given: remove one of them",
        broken=lambda job: _if(bool(job.spec.input.uri and job.spec.input.failed_of), "spec.input.failedOf"),
    ),
    Rule(
        at="",
        cel="!has(self.spec.input) || !has(self.spec.input.failedOf) || self.spec.input.failedOf != self.metadata.name",
        message="a job cannot take its own failures: give failedOf the name of another job, which has ended",
        broken=lambda job: _if(
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
