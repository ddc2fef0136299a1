"""The built-in kinds as a server serves them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from marie_operator.testing.apiserver import definitions, forms
from marie_operator.testing.apiserver.builtin import BuiltinKind, builtin
from marie_operator.testing.apiserver.crd import specification
from marie_operator.testing.apiserver.errors import Object
from marie_operator.testing.apiserver.kinds import CRD_GROUP, CRDS, Conversion, Kind, Kinds, ScalePaths
from marie_operator.testing.apiserver.strategies import autoscaling, events, strategy
from marie_operator.testing.apiserver.strategies.base import nothing

_SCALES = {
    ("apps", "deployments"): ".spec.selector",
    ("apps", "replicasets"): ".spec.selector",
    ("apps", "statefulsets"): ".spec.selector",
}
_SELECTABLE: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    ("", "namespaces"): ("status.phase",),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "secrets"): ("type",),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("", "events"): (
        *("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid"),
        *("involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath"),
        *("reason", "reportingComponent", "source", "type"),
    ),
    ("events.k8s.io", "events"): (
        *("regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid"),
        *("regarding.apiVersion", "regarding.resourceVersion", "regarding.fieldPath"),
        *("reason", "reportingController", "type"),
    ),
    ("batch", "jobs"): ("status.successful",),
}


_PATHS = {"source": "source.component", "reportingController": "reportingComponent"}
_SCALERS = ("autoscaling", "horizontalpodautoscalers")
_CONVERSIONS = {
    ("events.k8s.io", "v1", "events"): Conversion(("", "events"), events.stored, events.served),
    ("autoscaling", "v1", "horizontalpodautoscalers"): Conversion(_SCALERS, autoscaling.stored, autoscaling.served),
}
_MADE_BY_PUT = frozenset(
    [
        ("coordination.k8s.io", "leases"),
        ("", "endpoints"),
        ("", "events"),
        ("", "limitranges"),
        ("", "services"),
        ("events.k8s.io", "events"),
        *(
            ("rbac.authorization.k8s.io", f"{scope}{what}")
            for scope in ("", "cluster")
            for what in ("roles", "rolebindings")
        ),
    ]
)


def served() -> Kinds:
    """The built-in kinds."""
    return Kinds(_kinds())


@cache
def _kinds() -> tuple[Kind, ...]:
    return tuple(_kind(each) for each in builtin())


def _kind(known: BuiltinKind) -> Kind:
    bucket = (known.group, known.plural)
    own = strategy(known.group, known.version, known.kind)
    if bucket == (CRD_GROUP, CRDS):
        own = replace(
            own,
            default=definitions.defaulted,
            prepare_create=definitions.created,
            prepare_update=definitions.updated,
            validate=specification.problems,
            validate_update=specification.problems,
            validate_status=nothing,
        )
    return Kind(
        group=known.group,
        version=known.version,
        plural=known.plural,
        singular=known.singular,
        kind=known.kind,
        list_kind=f"{known.kind}List",
        namespaced=known.namespaced,
        schema=known.schema,
        strategy=own,
        form=forms.form(known.definition),
        exact=forms.form(known.definition, exact=True),
        read_back=_read_back(forms.nullable(known.definition)),
        short_names=tuple(known.short_names),
        categories=tuple(known.categories),
        verbs=frozenset(known.verbs),
        subresources=frozenset(known.subresources),
        selectable={field: _path(field) for field in _SELECTABLE.get(bucket, ())},
        deprecated=known.deprecated,
        conversion=_CONVERSIONS.get((known.group, known.version, known.plural)),
        made_by_put=bucket in _MADE_BY_PUT,
        scale=ScalePaths(selector=_SCALES[bucket]) if bucket in _SCALES else None,
    )


def _read_back(paths: list[tuple[str, ...]]) -> Callable[[Object], Object]:
    return lambda new: forms.read_back(new, paths)


def _path(field: str) -> str:
    """Where in a stored object what a field selector names is."""
    return _PATHS.get(field, field.replace("regarding.", "involvedObject."))
