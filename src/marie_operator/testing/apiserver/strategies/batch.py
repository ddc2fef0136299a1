"""Jobs and CronJobs."""

from collections.abc import Iterator
from typing import Final

from marie_operator.testing.apiserver.errors import FieldError, Object
from marie_operator.testing.apiserver.strategies import notices, pods
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
from marie_operator.testing.apiserver.strategies.selectors import matches, selector_errors

_COUNTS: Final = (
    *("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit"),
    *("ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes"),
)
_UID, _NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
_MODES = ("NonIndexed", "Indexed")
_FIXED = ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_UNLIMITED = 2**31 - 1
# What of a template may change while its Job is suspended and has not begun.
_DIRECTIVES = ("nodeSelector", "tolerations", "affinity", "schedulingGates")


def _default(new: Object) -> Object:
    return _labelled({**new, "spec": _spec(new.get("spec") or {})})


def _spec(spec: Object) -> Object:
    """A Job's spec with its defaults (``SetDefaults_Job``)."""
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec = {**spec, "completions": 1}
    policy = spec.get("podFailurePolicy")
    spec = filled(
        spec,
        parallelism=1,
        backoffLimit=6 if spec.get("backoffLimitPerIndex") is None else _UNLIMITED,
        completionMode="NonIndexed",
        suspend=False,
        podReplacementPolicy="TerminatingOrFailed" if policy is None else "Failed",
        manualSelector=False,
    )
    if policy is not None:
        rules = [_failure_rule(each) for each in policy.get("rules") or ()]
        spec = {**spec, "podFailurePolicy": {**policy, "rules": rules}}
    return _templated(spec)


def _templated(spec: Object) -> Object:
    return {**spec, "template": pods.template(spec.get("template") or {})}


def _failure_rule(rule: Object) -> Object:
    if not rule.get("onPodConditions"):
        return rule
    return {
        **rule,
        "onPodConditions": [{**each, "status": each.get("status") or "True"} for each in rule["onPodConditions"]],
    }


def _labelled(new: Object) -> Object:
    """Labels of its pods are a Job's own, when it was given none."""
    labels = new["spec"]["template"]["metadata"].get("labels")
    if not labels or new["metadata"].get("labels"):
        return new
    return {**new, "metadata": {**new["metadata"], "labels": labels}}


def _create(new: Object, _: Context) -> Object:
    spec, meta = new["spec"], new["metadata"]
    if not spec["manualSelector"]:
        # One without a name is refused for that in time.
        name = meta.get("name", "")
        named = {_NAME: name, "job-name": name, _UID: meta["uid"], "controller-uid": meta["uid"]}
        template = spec["template"]
        labels = {**named, **(template["metadata"].get("labels") or {})}
        selector = spec.get("selector") or {}
        selector = {**selector, "matchLabels": {_UID: meta["uid"], **(selector.get("matchLabels") or {})}}
        template = {**template, "metadata": {**template["metadata"], "labels": labels}}
        spec = {**spec, "selector": selector, "template": template}
    # What is read from storage has its defaults once more.
    return _labelled({**without(new, "status"), "spec": spec})


def _errors(new: Object) -> list[FieldError]:
    return [*_generated_errors(new), *_problems(new["spec"])]


def _generated_errors(new: Object) -> Iterator[FieldError]:
    """A selector that the server makes must be the one that it makes (``validateGeneratedSelector``)."""
    spec, meta = new["spec"], new["metadata"]
    if spec["manualSelector"] or spec.get("selector") is None:
        return
    labels = spec["template"]["metadata"].get("labels") or {}
    name = meta.get("name", "")
    wanted = {"controller-uid": meta["uid"], "job-name": name, _UID: meta["uid"], _NAME: name}
    for name, value in wanted.items():
        if name not in labels:
            yield required("spec.template.metadata.labels", f"must be '{value}'")
        elif labels[name] != value:
            why = f"must be '{value}'"
            yield invalid(labels, why, f"spec.template.metadata.labels[{name}]")
    if not matches(spec["selector"], wanted):
        yield invalid(spec["selector"], "`selector` not auto-generated", "spec.selector")


def _problems(spec: Object) -> Iterator[FieldError]:
    yield from _spec_errors(spec, "spec")
    selector, labels = spec.get("selector"), spec["template"]["metadata"].get("labels")
    if selector is None:
        yield required("spec.selector")
    yield from selector_errors(selector, "spec.selector")
    if selector is None or not matches(selector, labels or {}):
        yield invalid(labels, "`selector` does not match template `labels`", "spec.template.metadata.labels")


def _spec_errors(spec: Object, path: str) -> Iterator[FieldError]:
    """What is wrong with a Job's spec but its selector (``validateJobSpec``)."""
    yield from negative(spec, _COUNTS, path)
    indexed = spec["completionMode"] == "Indexed"
    yield from unsupported(spec["completionMode"], _MODES, f"{path}.completionMode")
    if indexed and spec.get("completions") is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    if not indexed:
        for name in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
            if spec.get(name) is not None:
                yield invalid(spec[name], "requires indexed completion mode", f"{path}.{name}")
    yield from _failure_errors(spec.get("podFailurePolicy") or {}, spec, f"{path}.podFailurePolicy")
    replaced = ("Failed",) if spec.get("podFailurePolicy") else ("Failed", "TerminatingOrFailed")
    yield from unsupported(spec.get("podReplacementPolicy", "Failed"), replaced, f"{path}.podReplacementPolicy")
    template, at_template = spec["template"]["spec"], f"{path}.template.spec"
    yield from spec_errors({**template, "restartPolicy": "Never"}, at_template)
    policy = template["restartPolicy"]
    if policy == "Always":
        yield required(f"{at_template}.restartPolicy", 'valid values: "OnFailure", "Never"')
    else:
        yield from unsupported(policy, ("OnFailure", "Never"), f"{at_template}.restartPolicy")
    if policy == "OnFailure" and spec.get("podFailurePolicy") is not None:
        why = 'only "Never" is supported when podFailurePolicy is specified'
        yield invalid(policy, why, f"{at_template}.restartPolicy")


def _failure_errors(policy: Object, spec: Object, path: str) -> Iterator[FieldError]:
    for number, rule in enumerate(policy.get("rules") or ()):
        where = f"{path}.rules[{number}]"
        if rule["action"] == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield invalid(rule["action"], "requires the backoffLimitPerIndex to be set", f"{where}.action")
        yield from unsupported(rule["action"], ("Count", "FailIndex", "FailJob", "Ignore"), f"{where}.action")
        given = [name for name in ("onExitCodes", "onPodConditions") if rule.get(name)]
        if len(given) != 1:
            one = "both OnExitCodes and OnPodConditions is not supported" if given else ""
            why = f"specifying {one or 'one of OnExitCodes and OnPodConditions is required'}"
            yield FieldError("FieldValueInvalid", f"Invalid value: {why}", where)
        if rule.get("onExitCodes"):
            yield from _exit_codes(rule["onExitCodes"], f"{where}.onExitCodes")


def _exit_codes(rule: Object, path: str) -> Iterator[FieldError]:
    values = rule.get("values") or []
    yield from unsupported(rule["operator"], ("In", "NotIn"), f"{path}.operator")
    if not values:
        yield invalid(None, "at least one value is required", f"{path}.values")
    if rule["operator"] == "In" and 0 in values:
        yield invalid(0, "must not be 0 for the In operator", f"{path}.values[{values.index(0)}]")
    if values != sorted(values):
        yield invalid(values, "must be ordered", f"{path}.values")


def _changed(new: Object, old: Object) -> list[FieldError]:
    """What does not change (``ValidateJobSpecUpdate``)."""
    # A change is judged as a whole, and its spec once more.
    found = [*_errors(new), *_problems(new["spec"])]
    spec, before = new["spec"], old["spec"]
    found += immutable(new, old, "spec.selector")
    found += _completions_changed(new, old)
    # The templates of Jobs that wait may still be given other places to run.
    waiting = before.get("suspend") and not at(old, "status.startTime")
    templates = [_directed(each["template"]) if waiting else each["template"] for each in (spec, before)]
    if templates[0] != templates[1]:
        why = f"Invalid value: {shown(spec['template'])}: field is immutable"
        found.append(FieldError("FieldValueInvalid", why, "spec.template"))
    for name in _FIXED:
        found += immutable(new, old, f"spec.{name}")
    return found


def _completions_changed(new: Object, old: Object) -> list[FieldError]:
    """An indexed Job's completions move with its parallelism."""
    if new["spec"]["completionMode"] != "Indexed":
        return immutable(new, old, "spec.completions")
    completions = new["spec"].get("completions")
    if completions in {None, old["spec"].get("completions"), new["spec"]["parallelism"]}:
        return []
    return [invalid(completions, "can only be modified in tandem with spec.parallelism", "spec.completions")]


def _directed(template: Object) -> Object:
    meta = without(template["metadata"], "labels", "annotations")
    return {**template, "metadata": meta, "spec": without(template["spec"], *_DIRECTIVES)}


JOB = Strategy(
    default=_default,
    prepare_create=_create,
    validate=_errors,
    validate_update=_changed,
    grows=True,
    warnings=notices.of_template("spec", "template"),
)


# CronJobs.

_MACROS: Final = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def _schedule(new: Object) -> Object:
    spec = filled(
        new.get("spec") or {},
        concurrencyPolicy="Allow",
        suspend=False,
        successfulJobsHistoryLimit=3,
        failedJobsHistoryLimit=1,
    )
    job = spec.get("jobTemplate") or {}
    return {**new, "spec": {**spec, "jobTemplate": {**job, "spec": _templated(job.get("spec") or {})}}}


def _schedule_errors(new: Object) -> list[FieldError]:
    return list(_schedule_problems(new["spec"]))


def _schedule_problems(spec: Object) -> Iterator[FieldError]:
    text = str(spec.get("schedule", ""))
    fields = text.split()
    if not text:
        yield required("spec.schedule")
    elif not text.startswith("@") and len(fields) != 5:
        yield invalid(text, f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]", "spec.schedule")
    elif text.startswith("@") and text not in _MACROS and not text.startswith("@every "):
        yield invalid(text, f"unrecognized descriptor: {text}", "spec.schedule")
    if "TZ" in text:
        yield invalid(text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead", "spec.schedule")
    yield from unsupported(spec["concurrencyPolicy"], ("Allow", "Forbid", "Replace"), "spec.concurrencyPolicy")
    yield from negative(
        spec, ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"), "spec"
    )
    job = spec["jobTemplate"]["spec"]
    yield from _spec_errors({"completionMode": "NonIndexed", **job}, "spec.jobTemplate.spec")
    if job.get("selector") is not None:
        yield invalid(job["selector"], "`selector` will be auto-generated", "spec.jobTemplate.spec.selector")
    if job.get("manualSelector"):
        message = 'Unsupported value: true: supported values: "nil", "false"'
        yield FieldError("FieldValueNotSupported", message, "spec.jobTemplate.spec.manualSelector")


CRON_JOB = Strategy(
    default=_schedule,
    validate=_schedule_errors,
    validate_update=lambda new, _: _schedule_errors(new),
    warnings=notices.of_template("spec", "jobTemplate", "spec", "template"),
)
