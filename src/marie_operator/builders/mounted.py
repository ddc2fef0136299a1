"""Which Secrets and ConfigMaps a pod is made of, and the annotation by which a change of them rolls its pods."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from marie_operator.api.meta import GROUP
from marie_operator.builders import association
from marie_operator.runtime.resource import CONFIG_MAPS, SECRETS, Object, Resource

MOUNTS = f"{GROUP}/mounts"
"""Annotation on a pod template: a hash of each Secret and ConfigMap that its pods read when they start."""
RELOAD = f"{GROUP}/reload"
"""Annotation on a pod template or a MarieCluster: with ``disabled``, a changed Secret or ConfigMap rolls no pod."""
DISABLED = "disabled"

_KINDS: Mapping[str, Resource] = {"secret": SECRETS, "configmap": CONFIG_MAPS}


class Reference(NamedTuple):
    """An object that a pod reads when it starts.

    Attributes:
        kind: ``secret`` or ``configmap``.
        name: Its name, in the pod's namespace.
        keys: Which of its keys; None for all.
    """

    kind: str
    name: str
    keys: frozenset[str] | None

    @property
    def resource(self) -> Resource:
        """The kind, as the API server serves it."""
        return _KINDS[self.kind]

    @property
    def label(self) -> str:
        """How the annotation names it."""
        return f"{self.kind}/{self.name}"


Digests: TypeAlias = Mapping[str, str]
"""Hashes by the label of what they are of."""


def references(pod: Object) -> list[Reference]:
    """The Secrets and ConfigMaps of a pod's spec, each once, with the keys of all its uses together."""
    merged: dict[tuple[str, str], frozenset[str] | None] = {}
    for kind, name, keys in (*_of_volumes(pod), *_of_containers(pod)):
        if name:
            known = merged.get((kind, name), frozenset())
            merged[kind, name] = None if keys is None or known is None else keys | known
    return [Reference(kind, name, keys) for (kind, name), keys in sorted(merged.items(), key=lambda item: item[0])]


def digest(reference: Reference, found: Object) -> str:
    """A hash of what a pod reads of an object."""
    content = {**(found.get("data") or {}), **(found.get("binaryData") or {})}
    read = {key: value for key, value in content.items() if reference.keys is None or key in reference.keys}
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:16]


def stamped(manifest: Object, digests: Digests, live: Object | None, *, reload: bool) -> Object:
    """A workload whose pods roll when what they are made of has changed.

    Args:
        manifest: The workload.
        digests: Hashes of what could be read; what could not keeps the hash it had.
        live: The workload as it is, if it is.
        reload: Whether changes roll pods. Where they do not, the hashes stay as they are, since to take them away
            would roll the pods as well.
    """
    template = manifest["spec"]["template"]
    before = _read(live["spec"]["template"].get("metadata", {}).get("annotations", {})) if live else {}
    wanted = [reference.label for reference in references(template["spec"])]
    rolls = reload and reloads(template["metadata"].get("annotations", {}))
    known = {**before, **digests} if rolls else before
    hashes = {label: known[label] for label in wanted if label in known}
    if not hashes:
        return manifest
    annotations = {**template["metadata"].get("annotations", {}), MOUNTS: _written(hashes)}
    return association.hashed(
        {
            **manifest,
            "spec": {
                **manifest["spec"],
                "template": {**template, "metadata": {**template["metadata"], "annotations": annotations}},
            },
        }
    )


def reloads(annotations: Mapping[str, str]) -> bool:
    """Whether an object's annotations leave it to the operator to roll pods."""
    return annotations.get(RELOAD) != DISABLED


def _written(hashes: Digests) -> str:
    return " ".join(f"{label}={value}" for label, value in sorted(hashes.items()))


def _read(annotations: Mapping[str, str]) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in annotations.get(MOUNTS, "").split())
    return {label: value for label, _, value in pairs if value}


def _of_volumes(pod: Object) -> Iterator[tuple[str, str, frozenset[str] | None]]:
    for volume in pod.get("volumes") or ():
        projected = (volume.get("projected") or {}).get("sources") or ()
        for source in (volume, *projected):
            if secret := source.get("secret"):
                yield "secret", secret.get("secretName") or secret.get("name", ""), _items(secret)
            if config := source.get("configMap"):
                yield "configmap", config.get("name", ""), _items(config)


def _items(source: Object) -> frozenset[str] | None:
    items = source.get("items")
    return frozenset(item["key"] for item in items) if items else None


def _of_containers(pod: Object) -> Iterator[tuple[str, str, frozenset[str] | None]]:
    for container in (*(pod.get("initContainers") or ()), *(pod.get("containers") or ())):
        for source in container.get("envFrom") or ():
            yield "secret", (source.get("secretRef") or {}).get("name", ""), None
            yield "configmap", (source.get("configMapRef") or {}).get("name", ""), None
        for variable in container.get("env") or ():
            source = variable.get("valueFrom") or {}
            for kind, field in (("secret", "secretKeyRef"), ("configmap", "configMapKeyRef")):
                if reference := source.get(field):
                    yield kind, reference.get("name", ""), frozenset([reference["key"]])
