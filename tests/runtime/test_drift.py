"""Whether a live object is what its manifest says."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.runtime import drift
from marie_operator.runtime.resource import Object
from marie_operator.testing import manifests
from tests.builders.clusters import GOLDENS

MANIFESTS = manifests.read(*sorted(GOLDENS.glob("*/expected.yaml")))
Place = tuple[str | int, ...]


def leaves(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where scalars are, and lists and objects that are empty."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [leaf for key, item in items for leaf in leaves(item, (*place, key))]
    yield from below or [place]


def at(value: Any, place: Place) -> Any:
    for key in place:
        value = value[key]
    return value


def other(value: Any) -> Any:
    """Something else of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"{value}-other" if isinstance(value, str) else ["other"]


def told_env() -> list[Object]:
    return [{"name": "A", "value": ""}, {"name": "B", "value": "1"}]


def told(*replacements: tuple[Place, Any]) -> Object:
    result: Object = {
        "spec": {
            "replicas": 0,
            "paused": False,
            "template": {
                "spec": {
                    "automountServiceAccountToken": False,
                    "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
                    "containers": [
                        {
                            "name": "marie",
                            "args": ["a", "b"],
                            "env": told_env(),
                            "ports": [{"containerPort": 1, "protocol": "TCP"}, {"containerPort": 1, "protocol": "UDP"}],
                            "readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 0},
                            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                            "securityContext": {"runAsUser": 0},
                            "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": False}],
                        }
                    ],
                }
            },
        }
    }
    for place, value in replacements:
        at(result, place[:-1])[place[-1]] = value
    return result


POD: Place = ("spec", "template", "spec")
MARIE: Place = (*POD, "containers", 0)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}"[:60])
def test_a_manifest_does_not_differ_from_itself(manifest: Object) -> None:
    assert drift.differs(manifest, copy.deepcopy(manifest)) == []


@given(st.data())
def test_the_change_of_any_leaf_is_told_by_its_path(data: st.DataObject) -> None:
    manifest = data.draw(st.sampled_from(MANIFESTS))
    place = data.draw(st.sampled_from(list(leaves(manifest))))
    live = copy.deepcopy(manifest)
    at(live, place[:-1])[place[-1]] = other(at(live, place))
    (path,) = drift.differs(manifest, live)
    assert path.startswith(str(place[0]))


@given(st.data())
def test_a_leaf_that_is_gone_is_told(data: st.DataObject) -> None:
    manifest = data.draw(st.sampled_from(MANIFESTS))
    gone = [place for place in leaves(manifest) if at(manifest, place) not in ("", [], {})]
    place = data.draw(st.sampled_from(gone))
    live = copy.deepcopy(manifest)
    del at(live, place[:-1])[place[-1]]
    assert drift.differs(manifest, live)


@given(st.data())
def test_what_others_add_is_no_difference(data: st.DataObject) -> None:
    manifest = data.draw(st.sampled_from(MANIFESTS))
    live = copy.deepcopy(manifest)
    places = [place[:-1] for place in leaves(manifest) if isinstance(at(manifest, place[:-1]), dict)]
    at(live, data.draw(st.sampled_from(places)))["added"] = data.draw(st.sampled_from([1, "x", True, ["y"], {"z": {}}]))
    live["status"] = {"replicas": 1}
    assert drift.differs(manifest, live) == []


CPU: Place = (*MARIE, "resources", "limits", "cpu")
SIZE: Place = (*POD, "volumes", 0, "emptyDir", "sizeLimit")
PROBE: Place = (*MARIE, "readinessProbe")
MOUNT: Place = (*MARIE, "volumeMounts", 0)
UDP_AND_TCP = [{"containerPort": 1, "protocol": "UDP"}, {"containerPort": 1, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        # Quantities are compared by their value.
        ((CPU, "1000m"), (CPU, "1")),
        ((CPU, 1), (CPU, "1")),
        ((SIZE, "1024Mi"), (SIZE, "1Gi")),
        # What the API server leaves out.
        (((*MARIE, "env", 0, "value"), ""), ((*MARIE, "env", 0), {"name": "A"})),
        (((*MARIE, "command"), []), ((*MARIE, "command"), None)),
        (((*MOUNT, "readOnly"), False), (MOUNT, {"name": "v", "mountPath": "/v"})),
        (((*PROBE, "initialDelaySeconds"), 0), (PROBE, {"periodSeconds": 10})),
        # What asks for the default, whatever that is.
        (((*PROBE, "periodSeconds"), 0), ((*PROBE, "periodSeconds"), 10)),
        (((*MARIE, "terminationMessagePolicy"), ""), ((*MARIE, "terminationMessagePolicy"), "File")),
        (((*MARIE, "command"), None), ((*MARIE, "command"), ["a"])),
        # Lists that are maps: entries of others, and another order.
        (((*MARIE, "env"), [{"name": "B", "value": "1"}]), ((*MARIE, "env"), [{"name": "X"}, *told_env()])),
        (((*MARIE, "ports"), [{"containerPort": 1}]), ((*MARIE, "ports"), UDP_AND_TCP)),
    ],
)
def test_no_difference(wanted: tuple[Place, Any], live: tuple[Place, Any]) -> None:
    assert drift.differs(told(wanted), told(wanted, live)) == []


@pytest.mark.parametrize(
    ("place", "live", "path"),
    [
        # False and zero are not the same as nothing where nothing means a default.
        ((*POD, "automountServiceAccountToken"), None, "spec.template.spec.automountServiceAccountToken"),
        ((*MARIE, "securityContext", "runAsUser"), None, "securityContext.runAsUser"),
        (("spec", "replicas"), None, "spec.replicas"),
        (("spec", "paused"), True, "spec.paused"),
        ((*MARIE, "args"), ["b", "a"], "args[0]"),
        ((*MARIE, "args"), ["a", "b", "c"], "args"),
        ((*MARIE, "env", 1, "value"), "2", "env[B].value"),
        ((*MARIE, "env", 0), {"name": "C"}, "env[A]"),
        ((*MARIE, "ports", 0, "protocol"), "SCTP", "ports[1,TCP]"),
        ((*MARIE, "resources", "limits", "memory"), "2Gi", "resources.limits.memory"),
        (CPU, "rubbish", "resources.limits.cpu"),
        (SIZE, "1Mi", "spec.template.spec.volumes[v].emptyDir.sizeLimit"),
    ],
)
def test_the_path_of_a_difference(place: Place, live: Any, path: str) -> None:
    prefix = "spec.template.spec.containers[marie]." if place[: len(MARIE)] == MARIE else ""
    assert drift.differs(told(), told((place, live)))[0] == prefix + path
