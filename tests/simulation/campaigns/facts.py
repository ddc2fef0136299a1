"""What does not follow the rules of a campaign, each with its reason."""

import re
from collections.abc import Mapping

from tests.simulation.campaigns.disturbances import Disturbance
from tests.simulation.campaigns.values import Value

_NOT_IN_PODS = frozenset(
    {
        "spec.serverSpec.replicas",
        "spec.serverSpec.serviceType",
        "spec.executorGroupSpecs[].replicas",
        "spec.executorGroupSpecs[].minReplicas",
        "spec.executorGroupSpecs[].maxReplicas",
        "spec.executorGroupSpecs[].suspend",
        "spec.executorGroupSpecs[].scaleStrategy",
        "spec.serverSpec.service",
        "spec.serverSpec.extraPorts",
        "spec.serviceType",
        "spec.enableIngress",
        "spec.ingress",
        "spec.networkPolicy",
        "spec.httpRoute",
        "spec.managedBy",
        "spec.upgradeStrategy",
        "spec.maxDocumentsInFlight",
        "spec.successfulJobsHistoryLimit",
        "spec.failedJobsHistoryLimit",
        "spec.suspend",
        "spec.marieVersion",
    }
)
"""Fields that no pod is made of, with all that is in them: their change rolls none."""


def in_pods(field: str) -> bool:
    """Whether pods may be made of a field."""
    return not any(field == name or field.startswith((f"{name}.", f"{name}[")) for name in _NOT_IN_PODS)


_KEPT: Mapping[str, str] = {
    r"^/secrets/c-(api-key|postgres): only left": "what was generated is never deleted before its cluster: "
    "clients, and the volume of the database, may depend on it",
    r"^/persistentvolumeclaims/.*: only left": "what holds data is never deleted before its cluster",
    r'/imagePullPolicy: "IfNotPresent" != "Always"$': "the API server's own default, which it gives once",
}
"""Differences of children between a change and a creation, by pattern, with the reason."""

_REMEMBERED: Mapping[str, str] = {
    r"^/conditions/MarieClusterProvisioned": "was ready once, and stays so by its definition",
    r'^/phase: "Running" != "Creating"': "the same in one word",
    r'^/serverInfo/marieVersion: .* != ""$': "was seen while it ran",
}
"""Differences of status between a change and a creation."""


def kept(difference: str) -> bool:
    """Whether a child may differ in this from one of a cluster that was created so."""
    return any(re.search(pattern, difference) for pattern in _KEPT)


def remembered(difference: str) -> bool:
    """Whether a status may differ in this from that of a cluster that was created so."""
    return any(re.search(pattern, difference) for pattern in _REMEMBERED)


_OF_PODS = re.compile(r"^/(pods/|deployments/[^/]+/status/)")


def of_pods(difference: str) -> bool:
    """Whether this is of pods alone: where new ones do not come, a rollout leaves those of before to their work."""
    return _OF_PODS.match(difference) is not None


_PAST = re.compile(r"^/(clusterName|documents|retryCount|conditions/Submitted)\b")
"""What a job that fails at once keeps of the time when it waited, of which one that was made so has none."""


def past(difference: str) -> bool:
    """Whether a job that failed at once may differ in this from one that was made so."""
    return _PAST.match(difference) is not None


def harmless(field: str, value: Value) -> bool:
    """Whether a value that looks wrong may be accepted in silence."""
    return False


_IMPOSSIBLE = frozenset(
    {
        *(("spec.jobType", kind) for kind in ("classify", "ner", "transform", "pipeline")),
        *(("spec.output.format", kind) for kind in ("csv", "yaml")),
        *(
            (f"spec.networkPolicy.{peers}[].{selector}.matchExpressions[].operator", operator)
            for peers in ("clients", "monitoring")
            for selector in ("podSelector", "namespaceSelector")
            for operator in ("Exists", "DoesNotExist")
        ),
    }
)
"""The simulated gateway has the planner extract alone; Marie stores nothing in these formats; these operators have no
values, which a NetworkPolicy is refused for. All of it is told."""


def impossible(field: str, value: Value) -> bool:
    """Whether a value that is right by itself does not come about here, which is told."""
    if field == "spec.clusterSelector" and isinstance(value.value, dict):
        # No cluster has such labels.
        return value.value != {"pool": "blue"}
    if field == "spec.suspend":
        # What is asked for is that nothing comes about.
        return value.value is True
    return isinstance(value.value, str) and (field, value.value) in _IMPOSSIBLE


def parted(field: str, difference: str) -> bool:
    """Whether a job may differ in this from one that was made so: it tells which cluster it had before it lost it."""
    return field.startswith("spec.cluster") and difference == '/clusterName: only left: "c"'


def chosen_at_creation(field: str) -> bool:
    """Whether a job has this from its beginning or never: the API server refuses each change of it, also to nothing."""
    return field == "spec.managedBy"


def unchangeable(field: str) -> bool:
    """Whether the API server refuses a change, which is told, of what a creation may have: of a volume, most."""
    if field in {"spec.managedBy", "spec.serverSpec.service", "spec.serverSpec.service.loadBalancerClass"}:
        return True
    return ".managed.storage" in field or field.endswith(".managed")


_OF_WORK = re.compile(
    r"^documents: |^/marieclusters/c/executorGroupStatuses/extract/(busy|idle)Replicas: |"
    r"^/children/pods/c-executor-extract-\w+/metadata/(annotations/.*|labels/marie.ai/busy): only right|"
    r"^/mariejobs/j/(conditions/Submitted|documents/inFlight\[0\]/dagId)"
)
"""That Marie has a document, and that a pod is at work on it."""


def lost(scenario: str, disturbance: Disturbance, difference: str) -> bool:
    """Whether a run may end in this otherwise than one that is not disturbed."""
    if scenario == "job suspended and resumed" and disturbance.unseen is not None:
        # Who never saw the pause does not tell of it.
        return difference.startswith("/mariejobs/j/conditions/Suspended: ")
    # A job that came and went unseen never gave Marie anything, which else goes on with it to the end of the run; nor
    # does one whose time is over before its operator sees again.
    never = {"job deleted": disturbance.unseen == 1, "job past its deadline": disturbance.behind > 0}
    return never.get(scenario, False) and _OF_WORK.search(difference) is not None


ENDS_AT_ONCE = frozenset({"InvalidSpec", "InvalidURI", "NoInput", "Unsupported"})
"""Reasons for which a job fails for good, also while it is suspended: its message says that it must be made anew."""
