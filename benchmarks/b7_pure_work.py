"""Pure work per object: what a reconcile of a cluster at rest costs besides reading its caches."""

import json
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import chain
from marie_operator.runtime import drift

REPEATS = 5


def run() -> Iterator[str]:
    """One line for each figure; the floor is encoding the same objects as JSON."""
    sample = Path(__file__).parents[1] / "config" / "samples" / "mariecluster_pools.yaml"
    found = next(
        each for each in yaml.safe_load_all(sample.read_text(encoding="utf-8")) if each["kind"] == "MarieCluster"
    )
    found["metadata"] |= {"namespace": "default", "uid": "uid"}
    cluster = MarieCluster.model_validate(found)
    wanted = chain.desired(cluster)
    floor = _microseconds(lambda: json.dumps([manifest for _, manifest in wanted]))
    yield f"decisions: encoding the {len(wanted)} children as JSON     {floor:8.0f} us   1.0x (floor)"
    works: dict[str, Callable[[], Any]] = {
        "parsing the cluster": lambda: MarieCluster.model_validate(found),
        "building its children": lambda: chain.desired(cluster),
        "comparing them with live ones": lambda: [drift.differs(manifest, manifest) for _, manifest in wanted],
    }
    for name, work in works.items():
        cost = _microseconds(work)
        yield f"decisions: {name:36} {cost:8.0f} us   {cost / floor:.1f}x"


def _microseconds(work: Callable[[], Any], number: int = 200) -> float:
    return min(timeit.repeat(work, number=number, repeat=REPEATS)) / number * 1e6
