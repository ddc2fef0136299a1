"""Which objects a pod is made of, and what their changes do to its template."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from marie_operator.builders import association, chain, mounted
from marie_operator.builders.mounted import MOUNTS, Reference
from marie_operator.runtime.resource import DEPLOYMENTS
from tests.builders.clusters import cluster, container, group, template

POD = {
    "volumes": [
        {"name": "a", "configMap": {"name": "files", "items": [{"key": "one", "path": "x"}]}},
        {"name": "b", "secret": {"secretName": "whole"}},
        {
            "name": "c",
            "projected": {
                "sources": [
                    {"secret": {"name": "token", "items": [{"key": "t", "path": "t"}]}},
                    {"configMap": {"name": "files", "items": [{"key": "two", "path": "y"}]}},
                    {"serviceAccountToken": {"path": "p"}},
                ]
            },
        },
        {"name": "d", "emptyDir": {}},
    ],
    "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "variables"}}]}],
    "containers": [
        {
            "name": "m",
            "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "token", "key": "u"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k"}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "D", "value": "plain"},
            ],
            "envFrom": [{"configMapRef": {"name": "settings"}}],
        }
    ],
    "imagePullSecrets": [{"name": "registry"}],
}


def test_every_way_to_use_an_object_is_seen_and_its_keys_are_gathered() -> None:
    assert mounted.references(POD) == [
        Reference("configmap", "files", frozenset({"one", "two"})),
        Reference("configmap", "settings", None),
        Reference("secret", "token", frozenset({"t", "u"})),
        Reference("secret", "variables", None),
        Reference("secret", "whole", None),
    ]


CONTENT = st.dictionaries(st.sampled_from("abc"), st.text(max_size=3), max_size=3)


@given(CONTENT, CONTENT, st.none() | st.frozensets(st.sampled_from("abc")))
def test_a_digest_changes_when_and_only_when_what_is_read_does(
    one: dict[str, str], other: dict[str, str], keys: frozenset[str] | None
) -> None:
    reference = Reference("secret", "s", keys)

    def read(data: dict[str, str]) -> dict[str, str]:
        return {key: value for key, value in data.items() if keys is None or key in keys}

    same = mounted.digest(reference, {"data": one}) == mounted.digest(reference, {"data": other})
    assert same == (read(one) == read(other))


def deployment(**metadata: Any) -> dict[str, Any]:
    pod = template(container(envFrom=[{"secretRef": {"name": "s"}}]), metadata=metadata or None)
    of = cluster(group("g", pod))
    manifests = [manifest for resource, manifest in chain.desired(of) if resource == DEPLOYMENTS]
    return next(each for each in manifests if each["metadata"]["name"].endswith("-g"))


def stamp(manifest: dict[str, Any]) -> str:
    return str(manifest["spec"]["template"]["metadata"].get("annotations", {}).get(MOUNTS, ""))


def test_a_template_carries_the_hashes_of_what_could_be_read() -> None:
    plain = deployment()
    assert mounted.stamped(plain, {}, None, reload=True) == plain
    one = mounted.stamped(plain, {"secret/s": "1", "secret/other": "9"}, None, reload=True)
    assert stamp(one) == "secret/s=1"
    assert association.spec_hash(one) != association.spec_hash(plain)
    # What could not be read this time keeps the hash it had: nothing rolls because of an error.
    assert mounted.stamped(plain, {}, one, reload=True) == one
    assert stamp(mounted.stamped(plain, {"secret/s": "2"}, one, reload=True)) == "secret/s=2"


def test_opting_out_freezes_the_hashes_and_opting_in_again_catches_up() -> None:
    live = mounted.stamped(deployment(), {"secret/s": "1"}, None, reload=True)
    quiet = deployment(annotations={mounted.RELOAD: mounted.DISABLED})
    assert stamp(mounted.stamped(quiet, {"secret/s": "2"}, live, reload=True)) == "secret/s=1"
    assert mounted.stamped(deployment(), {"secret/s": "2"}, live, reload=False) == live
    assert stamp(mounted.stamped(deployment(), {"secret/s": "2"}, live, reload=True)) == "secret/s=2"


def test_the_users_own_annotations_stay() -> None:
    found = mounted.stamped(deployment(annotations={"a": "b"}), {"secret/s": "1"}, None, reload=True)
    assert found["spec"]["template"]["metadata"]["annotations"] == {"a": "b", MOUNTS: "secret/s=1"}
