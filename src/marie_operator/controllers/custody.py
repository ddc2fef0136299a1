"""Which objects the operator works on, and which it leaves alone because somebody said so."""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.mariejob import MarieJob
from marie_operator.api.meta import GROUP
from marie_operator.runtime import Unparsable

MANAGER = f"{GROUP}/marie-operator"
"""What ``spec.managedBy`` names when it names this operator; so does leaving it out."""

PAUSE = f"{GROUP}/reconcile"
"""The annotation that makes the operator leave an object alone for a while."""

PAUSED = "paused"
"""Its value that does so; any other is as if the annotation were not there."""


def is_ours(obj: MarieCluster | MarieJob | Unparsable) -> bool:
    """Whether this operator is to look after an object at all."""
    if isinstance(obj, Unparsable):
        spec = obj.object.get("spec")
        return not isinstance(spec, dict) or spec.get("managedBy", "") in {"", MANAGER}
    return obj.spec.managed_by in {"", MANAGER}


def is_paused(obj: MarieCluster | MarieJob) -> bool:
    """Whether the operator is to leave an object as it is until the annotation is gone."""
    return obj.metadata.annotations.get(PAUSE) == PAUSED
