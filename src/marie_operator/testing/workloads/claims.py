"""Claims that are deleted stay for as long as a pod uses them (``pkg/controller/volume/pvcprotection``)."""

from collections.abc import Iterable, Mapping
from typing import Final

from marie_operator.testing.workloads.controller import Controller, Mapper, itself
from marie_operator.testing.workloads.objects import (
    CLAIMS,
    PODS,
    Key,
    Object,
    Resource,
    is_deleting,
    key_of,
)

PROTECTION: Final = "kubernetes.io/pvc-protection"


class ClaimProtection(Controller):
    """Lets a deleted claim go once no pod on a node mounts it; the API server put the finalizer there."""

    name = "persistentvolumeclaim-protection-controller"

    def watches(self) -> Mapping[Resource, Mapper]:
        """Claims and the pods that mount them."""
        return {CLAIMS: itself, PODS: _mounted}

    async def reconcile(self, key: Key) -> float | None:
        """Take the finalizer off a claim that nobody uses."""
        claim = self.cluster[CLAIMS].get(key)
        if claim is None or not is_deleting(claim):
            return None
        finalizers = claim["metadata"].get("finalizers") or []
        if PROTECTION not in finalizers or any(self._uses(pod, key) for pod in self.cluster[PODS].all()):
            return None
        left = [each for each in finalizers if each != PROTECTION]
        await self.cluster.patch(CLAIMS, claim, {"metadata": {"finalizers": left or None}})
        return None

    @staticmethod
    def _uses(pod: Object, claim: Key) -> bool:
        # A kubelet begins no pod whose claim is being deleted; one that has ended counts until it is gone.
        return bool(pod["spec"].get("nodeName")) and claim in _mounted(pod)


def _mounted(pod: Object) -> Iterable[Key]:
    sources = (volume.get("persistentVolumeClaim") for volume in pod["spec"].get("volumes") or ())
    return [Key(key_of(pod).namespace, source["claimName"]) for source in sources if source]
