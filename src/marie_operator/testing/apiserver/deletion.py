"""Deletion: preconditions, grace, finalizers, propagation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from marie_operator.testing.apiserver import objectmeta
from marie_operator.testing.apiserver.errors import FieldError, Object, conflict
from marie_operator.testing.apiserver.kinds import CRD_FINALIZER, CRD_GROUP, CRDS, Kind
from marie_operator.testing.apiserver.requests import invalid_option, number

POLICIES = {"Orphan": "orphan", "Foreground": "foregroundDeletion", "Background": ""}
ORPHANING = frozenset({("batch", "jobs")})
"""Kinds whose dependents stay when nobody says otherwise."""
PRESERVED = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)
_PROPAGATING = frozenset({"orphan", "foregroundDeletion"})


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """``metav1.DeleteOptions``.

    Attributes:
        policy: ``Background``, ``Foreground`` or ``Orphan``; empty for the kind's own.
        grace: Seconds; None for the object's own.
        uid: Only the object of this uid.
        version: Only at this resource version.
    """

    policy: str = ""
    grace: int | None = None
    uid: str = ""
    version: str = ""

    @classmethod
    def of(cls, body: Object, query: Mapping[str, str]) -> "DeleteOptions":
        """From a request's body, or its query.

        Raises:
            Refusal: 422, an option that does not exist.
        """
        conditions: dict[str, Any] = body.get("preconditions") or {}
        policy = str(body.get("propagationPolicy") or query.get("propagationPolicy") or "")
        orphan = body.get("orphanDependents", query.get("orphanDependents"))
        if orphan is not None and policy:
            why = f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set'
            raise invalid_option("DeleteOptions", FieldError("FieldValueInvalid", why, "propagationPolicy"))
        if orphan is not None:
            policy = "Orphan" if orphan in {True, "true"} else "Background"
        if policy and policy not in POLICIES:
            listed = '"Foreground", "Background", "Orphan", "nil"'
            why = f'Unsupported value: "{policy}": supported values: {listed}'
            raise invalid_option("DeleteOptions", FieldError("FieldValueNotSupported", why, "propagationPolicy"))
        grace = body.get("gracePeriodSeconds")
        if not isinstance(grace, int) or isinstance(grace, bool):
            grace = number(query, "gracePeriodSeconds")
        return cls(
            policy=policy,
            # Less than none is the shortest there is.
            grace=grace if grace is None or grace >= 0 else 1,
            uid=str(conditions.get("uid") or ""),
            version=str(conditions.get("resourceVersion") or ""),
        )

    def check(self, kind: Kind, live: Object) -> None:
        """See that the preconditions hold.

        Raises:
            Refusal: 409, they do not.
        """
        meta = live["metadata"]
        if self.uid and self.uid != meta["uid"]:
            why = (
                f"the UID in the precondition ({self.uid}) does not match the UID in record ({meta['uid']}). "
                "The object might have been deleted and then recreated"
            )
            raise conflict(kind.kind, kind.group, meta["name"], why)
        if self.version and self.version != meta["resourceVersion"]:
            why = (
                f"the ResourceVersion in the precondition ({self.version}) does not match "
                f"the ResourceVersion in record ({meta['resourceVersion']}). The object might have been modified"
            )
            raise conflict(kind.kind, kind.group, meta["name"], why)


def marked(kind: Kind, live: Object, how: DeleteOptions, now: datetime) -> Object | None:
    """The object as one that is being deleted; None when it can go at once."""
    meta = dict(live["metadata"])
    policy = how.policy or ("Orphan" if kind.bucket in ORPHANING else "")
    finalizers = [each for each in meta.get("finalizers") or () if each not in _PROPAGATING or not policy]
    if policy and (own := POLICIES[policy]):
        finalizers.append(own)
    if kind.bucket == (CRD_GROUP, CRDS) and CRD_FINALIZER not in finalizers:
        finalizers.append(CRD_FINALIZER)
    grace = _grace(kind, live, how)
    waits = bool(finalizers) or (kind.bucket == ("", "namespaces") and bool(live.get("spec", {}).get("finalizers")))
    if not waits and not grace:
        return None
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    if "deletionTimestamp" not in meta:
        meta["deletionTimestamp"] = objectmeta.timestamp(now + timedelta(seconds=grace))
        meta["deletionGracePeriodSeconds"] = grace
        if "generation" in meta:
            meta["generation"] += 1
    elif grace < int(meta.get("deletionGracePeriodSeconds", 0)):
        meta["deletionTimestamp"] = objectmeta.timestamp(now + timedelta(seconds=grace))
        meta["deletionGracePeriodSeconds"] = grace
    doomed = live | {"metadata": meta}
    if kind.bucket == ("", "namespaces"):
        doomed["status"] = live.get("status", {}) | {"phase": "Terminating"}
    return doomed


def _grace(kind: Kind, live: Object, how: DeleteOptions) -> int:
    """Only pods go gracefully, and only those that a node knows of."""
    if kind.bucket != ("", "pods"):
        return 0
    spec = live.get("spec", {})
    if not spec.get("nodeName") or live.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
        return 0
    return int(spec.get("terminationGracePeriodSeconds", 30)) if how.grace is None else how.grace


def ended(live: Object, now: datetime) -> Object:
    """A pod that goes at once, as the one who deletes it sees it."""
    meta = live["metadata"]
    gone = {"deletionTimestamp": meta.get("deletionTimestamp", objectmeta.timestamp(now))}
    return live | {"metadata": meta | gone | {"deletionGracePeriodSeconds": 0}}


def finished(kind: Kind, new: Object) -> bool:
    """Whether an object that is being deleted has nothing to wait for any more."""
    meta = new["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return False
    if kind.bucket == ("", "namespaces"):
        return not new.get("spec", {}).get("finalizers")
    return not int(meta.get("deletionGracePeriodSeconds", 0))
