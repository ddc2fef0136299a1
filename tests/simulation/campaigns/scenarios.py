"""What users do, step by step: each scenario's steps are taken one after another, each when the world has settled."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from marie_operator.testing.api import ApiStatus
from marie_operator.testing.gateway import Outcomes
from marie_operator.testing.gateway.outcome import NEVER, Outcome
from tests.simulation.campaigns.stage import Object, Stage, path
from tests.simulation.world import CONFIG

Step = Callable[[Stage], Awaitable[None]]

_MARIE = {"spec": {"containers": [{"name": "marie", "image": "marieai/marie:4.0.0"}]}}


@dataclass(frozen=True)
class Scenario:
    """A story.

    Attributes:
        steps: What the user does.
        documents: How many Marie must have at the end, by cluster.
        outcomes: What becomes of documents.
    """

    steps: tuple[Step, ...]
    documents: Mapping[str, int] = field(default_factory=lambda: {"c": 0})
    outcomes: Outcomes = field(default_factory=Outcomes)

    @property
    def clusters(self) -> frozenset[str]:
        """Names of the clusters in it."""
        return frozenset(self.documents)


def cluster(name: str = "c", **spec: Any) -> Object:
    groups = [{"groupName": "extract", "executorType": "extract", "template": _MARIE}]
    return {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": "MarieCluster",
        "metadata": {"name": name},
        "spec": {"serverSpec": {"template": _MARIE}, "executorGroupSpecs": groups, **spec},
    }


def job(name: str = "j", uri: str = "s3://documents/one.pdf", **spec: Any) -> Object:
    return {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": "MarieJob",
        "metadata": {"name": name},
        "spec": {"clusterRef": "c", "jobType": "extract", "input": {"uri": uri}, **spec},
    }


def key(name: str = "c") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-api-key"},
        "stringData": {"apiKey": "mas_none"},
    }


def login(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def apply(*objects: Object) -> Step:
    async def step(stage: Stage) -> None:
        await stage.apply(*objects)

    return step


def patch(kind: str, name: str, body: Object) -> Step:
    async def step(stage: Stage) -> None:
        await stage.api.patch(path(kind, name), body)

    return step


def change(**spec: Any) -> Step:
    return patch("marieclusters", "c", {"spec": spec})


def change_job(**spec: Any) -> Step:
    return patch("mariejobs", "j", {"spec": spec})


def delete(kind: str, name: str) -> Step:
    async def step(stage: Stage) -> None:
        try:
            await stage.api.delete(path(kind, name), {"propagationPolicy": "Background"})
        except ApiStatus as error:
            if error.code != 404:
                raise

    return step


def _group(name: str, **more: Any) -> Object:
    return {"groupName": name, "executorType": "extract", "template": _MARIE, **more}


def _image(tag: str) -> Object:
    return {"spec": {"containers": [{"name": "marie", "image": f"marieai/marie:{tag}"}]}}


def _seed() -> tuple[Step, ...]:
    """The two objects with which the project began."""
    whole, wanted = (
        yaml.safe_load((CONFIG / "samples" / "seed" / f"{kind}.yaml").read_text(encoding="utf-8"))
        for kind in ("mariecluster", "mariejob")
    )
    return apply(key(whole["metadata"]["name"]), whole), apply(wanted)


_MANAGED: Object = {"etcd": {"managed": {}}, "postgres": {"managed": {}}}
_REFERRED: Object = {
    "etcd": {"host": "etcd.infra"},
    "postgres": {"host": "db.infra", "credentialsSecretRef": {"name": "database"}},
}
_ONE = {"c": 1}

SCENARIOS: Mapping[str, Scenario] = {
    "seed": Scenario(_seed(), {"my-cluster": 4}),
    "cluster created": Scenario((apply(key(), cluster()),)),
    "cluster scaled": Scenario(
        (
            apply(key(), cluster()),
            change(executorGroupSpecs=[_group("extract", replicas=3)]),
            change(executorGroupSpecs=[_group("extract", replicas=1)]),
        )
    ),
    "cluster upgraded": Scenario(
        (
            apply(key(), cluster()),
            change(
                serverSpec={"template": _image("4.1.0")},
                executorGroupSpecs=[{**_group("extract"), "template": _image("4.1.0")}],
                marieVersion="4.1.0",
            ),
        )
    ),
    "group added, renamed, removed": Scenario(
        (
            apply(key(), cluster()),
            change(executorGroupSpecs=[_group("extract"), _group("more")]),
            change(executorGroupSpecs=[_group("extract"), _group("other")]),
            change(executorGroupSpecs=[_group("extract")]),
        )
    ),
    "ingress opened and closed": Scenario(
        (apply(key(), cluster()), change(enableIngress=True, serviceType="NodePort"), change(enableIngress=False))
    ),
    "cluster suspended and resumed": Scenario((apply(key(), cluster()), change(suspend=True), change(suspend=False))),
    "cluster deleted": Scenario((apply(key(), cluster()), delete("marieclusters", "c"))),
    "cluster made anew under its name": Scenario(
        (apply(key(), cluster()), delete("marieclusters", "c"), apply(cluster()), apply(job())),
        _ONE,
    ),
    "services managed": Scenario((apply(cluster(backingServices=_MANAGED)), apply(job())), _ONE),
    "services referred to": Scenario(
        (
            apply(login("database", username="marie", password="pass-word"), cluster(backingServices=_REFERRED)),
            apply(login("database", username="marie", password="other-word")),
        )
    ),
    "key rotated": Scenario(
        (
            apply(cluster(backingServices=_MANAGED)),
            patch("marieclusters", "c", {"metadata": {"annotations": {"marie.ai/rotate-api-key": "1"}}}),
            apply(job()),
        ),
        _ONE,
    ),
    "job of one document": Scenario((apply(key(), cluster()), apply(job())), _ONE),
    "job before its cluster": Scenario((apply(job()), apply(key(), cluster())), _ONE),
    "job of a prefix": Scenario(
        (apply(key(), cluster()), apply(job(uri="s3://documents/all/", batch={"maxInFlight": 2}))), {"c": 4}
    ),
    "job retried": Scenario(
        (apply(key(), cluster()), apply(job(backoffLimit=1))),
        {"c": 2},
        Outcomes({"s3://documents/one.pdf": Outcome(failures=NEVER)}),
    ),
    "job past its deadline": Scenario(
        (apply(key(), cluster()), apply(job(activeDeadlineSeconds=20))), _ONE, Outcomes(default=Outcome(seconds=600))
    ),
    "job suspended and resumed": Scenario(
        (apply(key(), cluster()), apply(job(suspend=True)), change_job(suspend=False)), _ONE
    ),
    "job expired": Scenario((apply(key(), cluster()), apply(job(ttlSecondsAfterFinished=5))), _ONE),
    "job deleted": Scenario(
        (apply(key(), cluster()), apply(job()), delete("mariejobs", "j")), _ONE, Outcomes(default=Outcome(seconds=600))
    ),
}
