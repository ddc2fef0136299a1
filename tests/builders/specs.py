"""Hypothesis strategies for what users write."""

import itertools
import string
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from marie_operator.api.mariecluster import MarieCluster
from tests.builders.clusters import cluster, container, group, template

_LETTERS = string.ascii_lowercase + string.digits + "-"


def _name(length: int, number: int) -> str:
    """A name of so many letters, or one more where it would end in a hyphen."""
    number, first = divmod(number, 26)
    name = _LETTERS[first]
    for _ in range(1, length):
        number, letter = divmod(number, len(_LETTERS))
        name += _LETTERS[letter]
    return name + "x" * name.endswith("-")


def some(items: Sequence[dict[str, Any]]) -> SearchStrategy[list[dict[str, Any]]]:
    """Any of them, in any order."""
    return st.sampled_from([list(each) for n in range(len(items) + 1) for each in itertools.permutations(items, n)])


# Few choices, not one for each letter and item: Hypothesis takes longer to choose than children to be built.
names = st.builds(_name, st.integers(1, 11), st.integers(0, 26 * 37**10))
numbers = st.integers(1, 65535)
amounts = st.sampled_from(["1", "1000m", "0.5", "2Gi", "2048Mi", "1e3", "1.5Gi", 1, 0, "100m"])
resources = st.dictionaries(
    st.sampled_from(["limits", "requests"]),
    st.dictionaries(st.sampled_from(["cpu", "memory", "nvidia.com/gpu", "example.com/card"]), amounts, max_size=3),
)
variables = some([{"name": name, "value": "user's"} for name in ("MARIE_PORT", "COLUMNS", "POD_IP", "OWN")])
ports = st.dictionaries(st.sampled_from(["http", "grpc", "metrics", "worker", "flow", "own"]), numbers).map(
    lambda named: [{"name": name, "containerPort": number} for name, number in named.items()]
)
mounts = some(
    [{"name": "disk", "mountPath": path} for path in ("/tmp", "/tmp/marie", "/dev", "/var/log/marie/", "/data", "/")]
)
labels = st.dictionaries(
    st.sampled_from(["team", "app.kubernetes.io/name", "marie.ai/cluster", "marie.ai/group"]), names
)
containers: SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "command": st.just(["/start"]),
        "args": st.just(["gateway"]),
        "resources": resources,
        "env": variables,
        "ports": ports,
        "volumeMounts": mounts,
        "readinessProbe": st.just({"tcpSocket": {"port": 1}, "initialDelaySeconds": 0}),
        "securityContext": st.sampled_from([{}, {"runAsUser": 0}, {"privileged": True}]),
    },
).map(lambda fields: container(**fields))


@st.composite
def templates(draw: st.DrawFn) -> dict[str, Any]:
    main = draw(containers)
    others = draw(
        st.sampled_from([[], [{"name": "logs", "image": "fluent-bit", "resources": {"limits": {"cpu": "1"}}}]])
    )
    spec: dict[str, Any] = {"volumes": [{"name": "disk", "emptyDir": {"sizeLimit": "1024Mi"}}]}
    if draw(st.booleans()):
        spec["terminationGracePeriodSeconds"] = draw(st.integers(0, 900))
    if draw(st.booleans()):
        spec["serviceAccountName"] = "marie"
    if draw(st.booleans()):
        spec["initContainers"] = [{"name": "fetch", "image": "busybox"}]
    metadata = draw(st.none() | st.fixed_dictionaries({}, optional={"labels": labels, "annotations": labels}))
    # Marie's container goes by its name wherever it stands.
    return template(*draw(st.permutations([main, *others])), metadata=metadata, **spec)


@st.composite
def groups(draw: st.DrawFn, name: str) -> dict[str, Any]:
    return group(
        name,
        draw(templates()),
        replicas=draw(st.integers(0, 5)),
        executorType=draw(st.sampled_from(["", "ocr", "ner", "own-type"])),
        executorName=draw(st.sampled_from(["", "letter_executor", "a/b"])),
        slots=draw(st.none() | st.integers(1, 4)),
        gpu=draw(st.booleans()),
        suspend=draw(st.booleans()),
    )


@st.composite
def clusters(draw: st.DrawFn) -> MarieCluster:
    """Clusters that the rules accept."""
    named = draw(st.lists(names, max_size=3, unique=True))
    return cluster(
        *[draw(groups(name)) for name in named],
        name=draw(names),
        server={"template": draw(templates()), "serverStartParams": draw(st.sampled_from([{}, {"a": ""}, {"b": "c"}]))},
        serviceType=draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"])),
        enableIngress=draw(st.booleans()),
        networkPolicy=draw(st.sampled_from([None, {}, {"clients": [{"namespaceSelector": {}}]}])),
        suspend=draw(st.booleans()),
        marieVersion=draw(st.sampled_from(["", "4.0.0", "4.0.0+build/7"])),
    )
