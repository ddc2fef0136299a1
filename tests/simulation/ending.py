"""The state at the end of a run, without what may differ between two runs of one workload."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marie_operator.controllers.mariejob import failures
from marie_operator.testing.apiserver.store import Bucket
from tests.simulation.invariants import CLUSTERS, JOBS, SUBMITTERS, Invariants
from tests.simulation.world import World

COMPARED: tuple[Bucket, ...] = (
    CLUSTERS,
    JOBS,
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    SUBMITTERS,
    ("", "services"),
    ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("", "secrets"),
    ("", "configmaps"),
    ("", "persistentvolumeclaims"),
)
_OWN = frozenset(
    {
        *("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "observedGeneration"),
        *("lastTransitionTime", "lastUpdateTime", "startTime", "completionTime", "duration", "clusterIP", "clusterIPs"),
        *("nodePort", "podIP", "podName", "retryCount", "jobId", "dagId", "marie.ai/spec-hash", "outputUri", "message"),
        *("submitterJobName", "manifestParts"),
        *("deployment.kubernetes.io/revision", "collisionCount", "healthCheckNodePort"),
    }
)
"""Fields that say when something happened, in which order, or to whom."""
_ENDED = frozenset({"failed", "cancelled"})
_CHANCE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?<=-)[0-9a-v]{13}(?=[-./])|(?<=-submit-)[0-9a-v]{6}"
)
"""What is made of uids and times: ids of DAGs, digests in reference ids and in the names of submitters."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A state.

    Attributes:
        objects: What there is, by kind and name, in comparable form.
        documents: By job: the documents that were done, as Marie has it.
        failed: By job: those that ended otherwise, whether or not they were done at last.
    """

    objects: Mapping[str, str]
    documents: Mapping[str, frozenset[str]]
    failed: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, world: World, invariants: Invariants) -> "Ending":
        """The present state of a world."""
        store = world.server.server.store
        states = {entry.key.name: invariants.states(entry.object) for entry in store.range(JOBS)}
        documents = {
            job: frozenset(uri for uri, each in found.items() if "completed" in each) for job, found in states.items()
        }
        failed = {
            job: frozenset(uri for uri, each in found.items() if _ENDED & set(each)) for job, found in states.items()
        }
        objects = {
            _named(bucket, entry.key.name): _told(bucket, entry.object)
            for bucket in COMPARED
            for entry in store.range(bucket, "default")
        }
        return cls(objects, documents, failed)


def differences(calm: Ending, other: Ending) -> list[str]:
    """Where the end of a run is not that of its workload without faults.

    Documents may fail because of what happened to executors, as Marie has it; then what becomes of their job is left
    aside.
    """
    spoilt = {name for name, done in calm.documents.items() if _is_spoilt(done, name, other)}
    # A document that failed on its way has another attempt, and with it another submitter.
    again = spoilt | {name for name, failed in calm.failed.items() if other.failed.get(name) != failed}
    found = []
    for name in sorted(calm.objects.keys() | other.objects.keys()):
        kind, _, named = name.partition("/")
        if kind in {"mariejobs", "configmaps"} and named.removesuffix("-failures") in spoilt:
            continue
        if kind == SUBMITTERS[1] and named.partition("-submit-")[0] in again:
            continue
        before, after = calm.objects.get(name), other.objects.get(name)
        if before != after:
            found.append(f"{name} is {_shown(after, before)} and, without faults, {_shown(before, after)}")
    return found


def _is_spoilt(done: frozenset[str], job: str, other: Ending) -> bool:
    """Whether documents of a job that were done in calm have failed, and none is missing for another reason."""
    now = other.documents.get(job, frozenset())
    return now != done and done - now <= other.failed.get(job, frozenset())


def _named(bucket: Bucket, name: str) -> str:
    return _CHANCE.sub("…", f"{bucket[1]}/{name}")


def _told(bucket: Bucket, found: dict[str, Any]) -> str:
    if bucket == SUBMITTERS:
        # How many pods it took, and whether there will be another, depends on what happened to them.
        found = {**found, "status": {"succeeded": found.get("status", {}).get("succeeded", 0)}}
    return _CHANCE.sub("…", json.dumps(_bare(found), sort_keys=True))


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: [_bare(json.loads(line)) for line in inner.splitlines()] if name == failures.KEY else _bare(inner)
            for name, inner in value.items()
            if name not in _OWN
        }
    if not isinstance(value, list):
        return value
    # Whether a job was ever seen suspended depends on who was faster.
    return [_bare(inner) for inner in value if not (isinstance(inner, dict) and inner.get("type") == "Suspended")]


def _shown(one: str | None, other: str | None, width: int = 160) -> str:
    """The part of a text where it begins to differ."""
    if one is None:
        return "not there"
    other = other or ""
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return f"…{one[max(0, start - 60) : start + width]}…"
