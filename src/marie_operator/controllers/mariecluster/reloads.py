"""Hashes of the Secrets and ConfigMaps that pods are made of, in their Deployments: a changed one rolls those pods."""

import contextlib
from collections.abc import Sequence

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import mounted
from marie_operator.controllers.named import NamedObjects
from marie_operator.runtime import Forbidden
from marie_operator.runtime.children import LiveChildren
from marie_operator.runtime.resource import DEPLOYMENTS, Object, ObjectKey, Resource


async def stamped(
    cluster: MarieCluster, desired: Sequence[tuple[Resource, Object]], children: LiveChildren, named: NamedObjects
) -> list[tuple[Resource, Object]]:
    """The manifests with the hashes.

    Args:
        cluster: The cluster.
        desired: Its children's manifests.
        children: What there is: what could not be read keeps the hash that it has.
        named: Reads Secrets and ConfigMaps.
    """
    result = []
    for resource, manifest in desired:
        if resource == DEPLOYMENTS:
            live = children.get((resource, manifest["metadata"]["name"]))
            digests = await _digests(cluster, manifest["spec"]["template"]["spec"], named)
            reload = mounted.reloads(cluster.metadata.annotations)
            result.append((resource, mounted.stamped(manifest, digests, live, reload=reload)))
        else:
            result.append((resource, manifest))
    return result


async def _digests(cluster: MarieCluster, pod: Object, named: NamedObjects) -> mounted.Digests:
    found = {}
    for reference in mounted.references(pod):
        # Without the right to read it, pods are not rolled; everything else goes on.
        with contextlib.suppress(Forbidden):
            obj = await named.get(reference.resource, ObjectKey(cluster.metadata.namespace, reference.name))
            if obj is not None:
                found[reference.label] = mounted.digest(reference, obj)
    return found
