"""What users do: clusters and jobs that are made, changed, suspended, resumed and deleted at moments of chance.

A workload is data, drawn from its own seed before anything runs, so that the same one can be run with and without
faults. It ends in a state from which every job can reach its end.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from marie_operator.testing.gateway.outcome import NEVER, Document, Outcome

KEYS = (*(f"documents/{letter}.pdf" for letter in "abcde"), "pair/f.pdf", "pair/g.pdf")
"""What is in the bucket."""
RESULTS = "results"
"""The bucket that results are copied to."""
BAD = "documents/c.pdf"
"""A document that no executor can do."""
API_KEY = "mas_none"
IMAGES = ("marieai/marie:4.0.0", "marieai/marie:4.0.1")
GROUP = "extract"
"""A group that a cluster always has."""


TOLERANCE = 10
"""Seconds until pods are evicted from a node that was lost."""
_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERANCE}
    for key in ("not-ready", "unreachable")
]
_BY_POD = {"submissionMode": "K8sJobSubmission", "submitterConfig": {"backoffLimit": 8}}
"""A job fails when its submitter's pod does, more often than this: what happens to pods in a run is to be less."""


@dataclass(frozen=True, slots=True)
class Group:
    """One executor group as its user wants it."""

    replicas: int = 1
    image: str = IMAGES[0]
    suspend: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as its user wants it."""

    groups: Mapping[str, Group] = field(default_factory=lambda: {GROUP: Group()})
    image: str = IMAGES[0]
    suspend: bool = False
    port: int = 0
    env: str = ""
    ingress: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its user wants it."""

    cluster: str
    uri: str
    suspend: bool = False
    in_flight: int = 2
    attempts: int = 0
    output: bool = False
    by_pod: bool = False


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is; what stands in it more than once is drawn more often.

    Attributes:
        length: Seconds within which users do everything.
        steps: Most of what they do.
        clusters: How many.
        plain: Whether clusters begin with one group of one pod.
        jobs: At most.
        prefixes: Of documents.
        seconds: That a document takes.
        blows: At most.
    """

    length: float
    steps: tuple[int, ...]
    clusters: tuple[int, ...]
    plain: bool
    jobs: int
    prefixes: tuple[str, ...]
    seconds: tuple[float, ...]
    blows: int


_ONE = ("documents/a.pdf", "documents/c.pdf")
TINY = Size(6.0, (2, 2, 3), (1,), True, 1, ("pair/", *_ONE), (0.5, 1.0, 2.0), 3)
SMALL = Size(12.0, (3, 3, 4, 5), (1,), False, 1, ("pair/", "pair/", *_ONE), (0.5, 1.0, 2.0, 5.0), 4)
LARGE = Size(
    30.0,
    (3, 4, 5, 6, 9),
    (1, 1, 2),
    False,
    3,
    ("documents/", "documents/", "pair/", *_ONE),
    (0.5, 1.0, 2.0, 5.0, 20.0),
    6,
)
SIZES = (
    *(SMALL, TINY, TINY, SMALL, TINY, LARGE, TINY, SMALL),
    *(TINY, TINY, SMALL, TINY, TINY, SMALL, TINY, TINY),
)
"""In turn. Many small ones find more than a few large ones, since a fault is seldom in need of much around it."""


Wish: TypeAlias = Cluster | Job | None
"""An object, or None to have none."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a user asks for at a moment.

    Attributes:
        at: Seconds since the beginning.
        name: Of the object.
        wish: What is wanted of it from then on.
    """

    at: float
    name: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class Workload:
    """What all users do.

    Attributes:
        steps: In the order of their moments.
        slow: Seconds that each document takes.
        size: How large it is.
    """

    steps: tuple[Step, ...]
    slow: Mapping[str, float]
    size: Size = LARGE

    @property
    def wanted(self) -> dict[str, Cluster | Job]:
        """What is wanted at the end, by name."""
        last = {step.name: step.wish for step in self.steps}
        return {name: wish for name, wish in last.items() if wish is not None}

    def outcome(self, document: Document) -> Outcome:
        """What executors make of a document."""
        key = document.uri.removeprefix("s3://bucket/")
        return Outcome(self.slow.get(key, 1.0), NEVER if key == BAD else 0)


def drawn(seed: int) -> Workload:
    """The workload of a seed."""
    source = random.Random(f"workload {seed}")
    size = SIZES[seed % len(SIZES)]
    names = [f"c{number}" for number in range(source.choice(size.clusters))]
    wishes: dict[str, Wish] = {name: _cluster(source, size) for name in names}
    steps = [Step(source.uniform(0, 3), name, wishes[name]) for name in names]
    moment, number, most = 1.0, 0, source.choice(size.steps)
    while moment < size.length and len(steps) < most:
        moment += source.uniform(0.2, size.length / 4)
        if number < size.jobs and (number == 0 or source.random() < 0.3):
            number += 1
            name: str = f"j{number}"
            wishes[name] = _job(source, names, size.prefixes)
        else:
            name = source.choice(list(wishes))
            wishes[name] = _changed(source, name, wishes[name], names, size)
        steps.append(Step(moment, name, wishes[name]))
    for name, wish in wishes.items():
        end = _alive(wish) if name in names else _resumed(wish)
        if end != wish:
            steps.append(Step(size.length + 8, name, end))
    slow = {key: source.choice(size.seconds) for key in KEYS}
    return Workload(tuple(sorted(steps, key=lambda step: step.at)), slow, size)


def _cluster(source: random.Random, size: Size) -> Cluster:
    if size.plain:
        return Cluster()
    groups = {GROUP: Group(replicas=source.choice((1, 1, 2)))}
    if source.random() < 0.3:
        groups["more"] = Group(replicas=source.choice((0, 1)))
    return Cluster(groups=groups, ingress=source.random() < 0.2)


def _job(source: random.Random, clusters: list[str], prefixes: tuple[str, ...]) -> Job:
    uri = source.choice(prefixes)
    return Job(
        source.choice(clusters),
        f"s3://bucket/{uri}",
        in_flight=source.choice((1, 2, 4)),
        attempts=source.choice((0, 0, 1)),
        output=source.random() < 0.25,
        # A pod submits one document.
        by_pod=uri in _ONE and source.random() < 0.3,
    )


def _changed(source: random.Random, name: str, wish: Wish, clusters: list[str], size: Size) -> Wish:
    match wish:
        case None:
            return _cluster(source, size) if name in clusters else _job(source, clusters, size.prefixes)
        case Job():
            return replace(wish, suspend=not wish.suspend) if source.random() < 0.8 else None
        case Cluster():
            return _changed_cluster(source, wish)


def _changed_cluster(source: random.Random, cluster: Cluster) -> Wish:
    match source.choice(("delete", "suspend", "suspend", "server", "group", "group", "group", "groups", "groups")):
        case "delete":
            return None
        case "suspend":
            return replace(cluster, suspend=not cluster.suspend)
        case "server":
            what = source.choice(("image", "port", "env", "ingress", "label"))
            changes = {
                "image": _other(source, IMAGES, cluster.image),
                "port": _other(source, (0, 51100), cluster.port),
                "env": _other(source, ("", "1", "2"), cluster.env),
                "ingress": not cluster.ingress,
                "label": _other(source, ("", "blue"), cluster.label),
            }
            return replace(cluster, **{what: changes[what]})
        case "group":
            name = source.choice(list(cluster.groups))
            return replace(cluster, groups={**cluster.groups, name: _changed_group(source, cluster.groups[name])})
        case _:
            return replace(cluster, groups=_other_groups(source, cluster.groups))


def _changed_group(source: random.Random, group: Group) -> Group:
    match source.choice(("replicas", "replicas", "image", "suspend", "label")):
        case "replicas":
            return replace(group, replicas=_other(source, (0, 1, 2, 3), group.replicas))
        case "image":
            return replace(group, image=_other(source, IMAGES, group.image))
        case "suspend":
            return replace(group, suspend=not group.suspend)
        case _:
            return replace(group, label=_other(source, ("", "green"), group.label))


def _other_groups(source: random.Random, groups: Mapping[str, Group]) -> dict[str, Group]:
    """A group more, one less, or one under another name."""
    others = [name for name in groups if name != GROUP]
    if not others:
        return {**groups, source.choice(("more", "most")): Group(replicas=source.choice((0, 1)))}
    left = {name: group for name, group in groups.items() if name != others[0]}
    return left if source.random() < 0.5 else {**left, f"{others[0]}-2": groups[others[0]]}


def _other(source: random.Random, choices: tuple[Any, ...], present: Any) -> Any:
    return source.choice([each for each in choices if each != present])


def _alive(wish: Wish) -> Cluster:
    """A cluster on which jobs come to their end."""
    cluster = wish if isinstance(wish, Cluster) else Cluster()
    group = cluster.groups[GROUP]
    running = replace(group, suspend=False, replicas=max(group.replicas, 1))
    return replace(cluster, suspend=False, groups={**cluster.groups, GROUP: running})


def _resumed(wish: Wish) -> Wish:
    return replace(wish, suspend=False) if isinstance(wish, Job) else wish


# As manifests.


def manifest(name: str, wish: Cluster | Job) -> dict[str, Any]:
    """An object as its user applies it."""
    kind = type(wish).__name__
    spec = _cluster_spec(wish) if isinstance(wish, Cluster) else _job_spec(name, wish)
    labels = {"colour": wish.label} if isinstance(wish, Cluster) and wish.label else {}
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "marie.ai/v1alpha1", "kind": f"Marie{kind}", "metadata": metadata, "spec": spec}


def key_secret(cluster: str) -> dict[str, Any]:
    """The Secret with a cluster's API key."""
    metadata = {"name": f"{cluster}-api-key", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"apiKey": API_KEY}}


def _cluster_spec(cluster: Cluster) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "marie", "image": cluster.image}
    if cluster.port:
        container["ports"] = [{"name": "http", "containerPort": cluster.port}]
    if cluster.env:
        container["env"] = [{"name": "MARIE_SETTING", "value": cluster.env}]
    return {
        "serverSpec": {"template": {"spec": {"containers": [container], "tolerations": _TOLERATIONS}}},
        "executorGroupSpecs": [_group_spec(name, group) for name, group in cluster.groups.items()],
        "suspend": cluster.suspend,
        "enableIngress": cluster.ingress,
    }


def _group_spec(name: str, group: Group) -> dict[str, Any]:
    containers = [{"name": "marie", "image": group.image}]
    template: dict[str, Any] = {"spec": {"containers": containers, "tolerations": _TOLERATIONS}}
    if group.label:
        template["metadata"] = {"labels": {"colour": group.label}}
    return {
        "groupName": name,
        "executorType": "extract",
        "replicas": group.replicas,
        "suspend": group.suspend,
        "template": template,
    }


def _job_spec(name: str, job: Job) -> dict[str, Any]:
    return {
        "clusterRef": job.cluster,
        "jobType": "extract",
        "input": {"uri": job.uri},
        "suspend": job.suspend,
        "batch": {"maxInFlight": job.in_flight},
        "backoffLimit": job.attempts,
        **({"output": {"uri": f"s3://{RESULTS}/{name}/"}} if job.output else {}),
        **(_BY_POD if job.by_pod else {}),
    }
