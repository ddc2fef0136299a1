"""Deletion: preconditions, grace, finalizers, propagation."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from marie_operator.testing.apiserver import decoding, objectmeta
from marie_operator.testing.apiserver.errors import (
    FieldError,
    Json,
    Object,
    Refusal,
    conflict,
    unregistered,
)
from marie_operator.testing.apiserver.kinds import CRD_FINALIZER, CRD_GROUP, CRDS, Kind
from marie_operator.testing.apiserver.requests import Call, document, dry_run_errors, flag, invalid_option, number

POLICIES = {"Foreground": "foregroundDeletion", "Background": "", "Orphan": "orphan"}
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
        uid: Only the object of this uid; None for any.
        version: Only at this resource version; None for any.
        dry_run: Do all but delete.
        pending: HTTP status when the object is still there.
    """

    policy: str = ""
    grace: int | None = None
    uid: str | None = None
    version: str | None = None
    dry_run: bool = False
    pending: int = 200

    @classmethod
    def asked(cls, call: Call) -> "DeleteOptions":
        """From a request: its body, or without one its query.

        Raises:
            Refusal: 400, they cannot be read; 422, an option that does not exist.
        """
        if call.body:
            return cls.of(delete_options(document(call)))
        asked: Object = {name: call.query[name] for name in ("dryRun", "propagationPolicy") if name in call.query}
        if "dryRun" in asked:
            asked["dryRun"] = [asked["dryRun"]]
        if "orphanDependents" in call.query:
            asked["orphanDependents"] = flag(call.query, "orphanDependents")
        if (grace := number(call.query, "gracePeriodSeconds")) is not None:
            asked["gracePeriodSeconds"] = grace
        return cls.of(asked)

    @classmethod
    def of(cls, given: Object) -> "DeleteOptions":
        """From their JSON.

        Raises:
            Refusal: 422, an option that does not exist.
        """
        conditions: dict[str, Any] = given.get("preconditions") or {}
        policy, orphan, stages = (
            given.get("propagationPolicy"),
            given.get("orphanDependents"),
            given.get("dryRun") or (),
        )
        errors: list[FieldError] = []
        if orphan is not None and policy is not None:
            why = "orphanDependents and deletionPropagation cannot be both set"
            errors.append(FieldError.invalid("propagationPolicy", policy, why))
        if policy is not None and policy not in POLICIES:
            errors.append(FieldError.unsupported("propagationPolicy", policy, (*POLICIES, "nil")))
        errors += dry_run_errors(stages)
        if errors:
            raise invalid_option("DeleteOptions", *errors)
        if orphan is not None:
            policy = "Orphan" if orphan else "Background"
        grace = given.get("gracePeriodSeconds")
        return cls(
            policy=policy or "",
            # Less than none is the shortest there is.
            grace=grace if grace is None or grace >= 0 else 1,
            uid=conditions.get("uid"),
            version=conditions.get("resourceVersion"),
            dry_run=bool(stages),
            pending=202 if orphan is False else 200,
        )

    def warnings(self, kind: Kind) -> tuple[str, ...]:
        """What an answer warns of, whatever it is."""
        return (PRESERVED,) if kind.bucket in ORPHANING and not self.policy else ()

    def check(self, kind: Kind, live: Object) -> None:
        """See that the preconditions hold.

        Raises:
            Refusal: 409, they do not.
        """
        meta = live["metadata"]
        if self.uid is not None and self.uid != meta["uid"]:
            why = (
                f"the UID in the precondition ({self.uid}) does not match the UID in record ({meta['uid']}). "
                "The object might have been deleted and then recreated"
            )
            raise conflict(kind.kind, kind.group, meta["name"], why)
        if self.version is not None and self.version != meta["resourceVersion"]:
            why = (
                f"the ResourceVersion in the precondition ({self.version}) does not match "
                f"the ResourceVersion in record ({meta['resourceVersion']}). The object might have been modified"
            )
            raise conflict(kind.kind, kind.group, meta["name"], why)


def delete_options(given: Json) -> Object:
    """The options of a deletion, as a body has them.

    Raises:
        Refusal: 400, they are none.
    """
    if given is None:
        return {}
    if isinstance(given, dict) and given.get("kind", "DeleteOptions") != "DeleteOptions":
        raise Refusal(400, unregistered(given.get("apiVersion", ""), given["kind"]))
    if wrong := decoding.problem(given, f"{decoding.META}DeleteOptions"):
        raise Refusal(400, wrong)
    options: Object = given
    return options


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


def ended(kind: Kind, live: Object, now: datetime) -> Object:
    """What goes at once, as the one who deletes it sees it; of a pod, that it had to go."""
    if kind.bucket != ("", "pods"):
        return live
    meta = live["metadata"]
    gone = {"deletionTimestamp": meta.get("deletionTimestamp", objectmeta.timestamp(now))}
    if "deletionTimestamp" not in meta and "generation" in meta:
        gone["generation"] = meta["generation"] + 1
    return live | {"metadata": meta | gone | {"deletionGracePeriodSeconds": 0}}


def finished(kind: Kind, new: Object) -> bool:
    """Whether an object that is being deleted has nothing to wait for any more."""
    meta = new["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return False
    if kind.bucket == ("", "namespaces"):
        return not new.get("spec", {}).get("finalizers")
    return not int(meta.get("deletionGracePeriodSeconds", 0))
