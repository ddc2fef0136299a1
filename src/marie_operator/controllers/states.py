"""How many clusters and jobs are in which state: indexes of the cache, counted as objects change."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge

from marie_operator.api.conditions import ClusterCondition, JobCondition
from marie_operator.api.mariecluster import ClusterPhase
from marie_operator.api.mariejob import JobPhase
from marie_operator.runtime.informer import IndexFunction, Informer
from marie_operator.runtime.resource import Object

PHASE_INDEX, CONDITION_INDEX = "phase", "condition"
NEW = "New"
"""The phase of an object that has none yet."""


def by_phase(obj: Object) -> Iterable[str]:
    """The phase of a cluster or job."""
    return ((obj.get("status") or {}).get("phase") or NEW,)


def by_condition(obj: Object) -> Iterable[str]:
    """The conditions of a cluster or job that are true."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return [condition["type"] for condition in conditions if condition["status"] == "True"]


INDEXES: Mapping[str, IndexFunction] = {PHASE_INDEX: by_phase, CONDITION_INDEX: by_condition}


class StateMetrics:
    """The marie_operator_clusters and marie_operator_jobs families, on a registry.

    Args:
        registry: Where they are registered; twice on one registry is an error.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._clusters = _Kind("cluster", (NEW, *get_args(ClusterPhase)), ClusterCondition, registry)
        self._jobs = _Kind("job", (NEW, *get_args(JobPhase)), JobCondition, registry)

    def measure(self, clusters: Informer, jobs: Informer) -> None:
        """Count what is cached; both must have ``INDEXES``."""
        self._clusters.measure(clusters)
        self._jobs.measure(jobs)


class _Kind:
    """Every phase and condition has its series, also while no object is in it: an alert sees it come from zero."""

    def __init__(
        self, name: str, phases: Iterable[str], conditions: type[StrEnum], registry: CollectorRegistry
    ) -> None:
        by_phase = Gauge(f"marie_operator_{name}s", f"Marie{name.title()}s by phase.", ("phase",), registry=registry)
        by_condition = Gauge(
            f"marie_operator_{name}_conditions", f"Marie{name.title()}s of which a condition is true.", ("condition",),
            registry=registry,
        )  # fmt: skip
        self._phases = {phase: by_phase.labels(phase) for phase in phases}
        self._conditions = {str(condition): by_condition.labels(condition) for condition in conditions}

    def measure(self, informer: Informer) -> None:
        for index, gauges in ((PHASE_INDEX, self._phases), (CONDITION_INDEX, self._conditions)):
            counts = informer.counts(index)
            for value, gauge in gauges.items():
                gauge.set(counts.get(value, 0))
