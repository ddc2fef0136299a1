"""Jobs."""

from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies import pods
from marie_operator.testing.apiserver.strategies.base import Context, Strategy, at, filled, immutable, shown, without

_UID, _NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"


def _default(new: Object) -> Object:
    spec = filled(
        new.get("spec") or {},
        completionMode="NonIndexed",
        suspend=False,
        backoffLimit=6,
        podReplacementPolicy="TerminatingOrFailed",
        manualSelector=False,
    )
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec = {**spec, "completions": 1, "parallelism": 1}
    spec = filled(spec, parallelism=1)
    if spec.get("template") is not None:
        spec = {**spec, "template": pods.template(spec["template"])}
    return {**new, "spec": spec}


def _create(new: Object, _: Context) -> Object:
    spec, uid = new["spec"], new["metadata"]["uid"]
    if not spec.get("manualSelector"):
        own = {_UID: uid, _NAME: new["metadata"]["name"], "controller-uid": uid, "job-name": new["metadata"]["name"]}
        template = spec.get("template") or {}
        meta = template.get("metadata") or {}
        labelled = {**template, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **own}}}
        spec = {**spec, "selector": {"matchLabels": {_UID: uid}}, "template": labelled}
    return {**without(new, "status"), "spec": spec, "status": {}}


def _errors(new: Object) -> list[FieldError]:
    spec = (new["spec"].get("template") or {}).get("spec") or {}
    found = pods.spec_errors(spec, "spec.template.spec")
    policy = spec.get("restartPolicy", "Always")
    if policy == "Always":
        message = 'Required value: valid values: "OnFailure", "Never"'
        found.append(FieldError("FieldValueRequired", message, "spec.template.spec.restartPolicy"))
    return found


def _changed(new: Object, old: Object) -> list[FieldError]:
    found = [*immutable(new, old, "spec.completions"), *immutable(new, old, "spec.selector")]
    if at(new, "spec.template") != at(old, "spec.template"):
        why = f"Invalid value: {shown(at(new, 'spec.template'))}: field is immutable"
        found.append(FieldError("FieldValueInvalid", why, "spec.template"))
    return found


JOB = Strategy(default=_default, prepare_create=_create, validate=_errors, validate_update=_changed)
