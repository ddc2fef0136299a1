"""Jobs."""

from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies import pods
from marie_operator.testing.apiserver.strategies.base import (
    Context,
    Strategy,
    at,
    filled,
    immutable,
    required,
    shown,
    without,
)
from marie_operator.testing.apiserver.strategies.containers import invalid, negative, spec_errors, unsupported

_SECONDS = ("activeDeadlineSeconds", "ttlSecondsAfterFinished")
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
        labels = {**(new["metadata"].get("labels") or {}), **own}
        new = {**new, "metadata": {**new["metadata"], "labels": labels}}
    return {**without(new, "status"), "spec": spec, "status": {}}


def _errors(new: Object) -> list[FieldError]:
    spec = (new["spec"].get("template") or {}).get("spec") or {}
    policy = spec.get("restartPolicy", "Always")
    found = [
        *negative(new["spec"], ("parallelism", "completions", "backoffLimit", *_SECONDS)),
        *unsupported(new["spec"].get("completionMode", "NonIndexed"), ("NonIndexed", "Indexed"), "spec.completionMode"),
        *spec_errors({**spec, "restartPolicy": "Never"}, "spec.template.spec"),
    ]
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


def _schedule(new: Object) -> Object:
    spec = filled(
        new.get("spec") or {},
        concurrencyPolicy="Allow",
        suspend=False,
        successfulJobsHistoryLimit=3,
        failedJobsHistoryLimit=1,
    )
    job = spec.get("jobTemplate") or {}
    template = (job.get("spec") or {}).get("template")
    if template is not None:
        spec = {**spec, "jobTemplate": {**job, "spec": {**job["spec"], "template": pods.template(template)}}}
    return {**new, "spec": spec}


def _schedule_errors(new: Object) -> list[FieldError]:
    text = str(new["spec"].get("schedule", ""))
    fields = text.split()
    if not text:
        return [required("spec.schedule")]
    if not text.startswith("@") and len(fields) != 5:
        why = f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
        return [invalid(text, why, "spec.schedule")]
    return []


CRON_JOB = Strategy(default=_schedule, validate=_schedule_errors, validate_update=lambda new, _: _schedule_errors(new))
