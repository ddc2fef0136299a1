"""What an object contradicts itself in."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from marie_operator.api.cluster_rules import CLUSTER_RULES
from marie_operator.api.job_rules import JOB_RULES
from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.api.rule import Kind, Rule


class Problem(NamedTuple):
    """One contradiction: where it is (``spec.executorGroupSpecs[1].replicas``), and what to do about it."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def problems(obj: MarieCluster | MarieJob) -> list[Problem]:
    """Every rule an object breaks, in the order of the rules; empty for a valid one."""
    if isinstance(obj, MarieCluster):
        return list(_problems(CLUSTER_RULES, obj))
    return list(_problems(JOB_RULES, obj))


def _problems(rules: Iterable[Rule[Kind]], obj: Kind) -> Iterator[Problem]:
    return (Problem(field, rule.message) for rule in rules for field in rule.broken(obj))
