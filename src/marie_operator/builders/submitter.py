"""The Job whose pod submits a document of a MarieJob, filled in where the user's template says nothing."""

from collections.abc import Mapping

from marie_operator.api.mariejob import MarieJob
from marie_operator.api.meta import SecretKeyReference
from marie_operator.builders import association, resources
from marie_operator.runtime.resource import JOBS, Object

CONTAINER = "submitter"
GRACE = 5
"""Seconds that a pod gets to end: less than a successor searches before it submits."""

_COMMAND = ["marie-operator", "submit"]
_RESOURCES: Object = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
_POD_SECURITY: Object = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def name(job: MarieJob, attempt: int) -> str:
    """The Job of one attempt at the job's document."""
    return association.submitter_name(job.metadata.name, job.metadata.uid, attempt)


def image(job: MarieJob, own: str) -> str:
    """The image that submits: the template's, else the operator's own, which may be unknown."""
    return str(_main(job.spec.submitter_pod_template or {}).get("image") or own)


def manifest(
    job: MarieJob,
    *,
    attempt: int,
    cluster: str,
    environment: Mapping[str, str],
    api_key: SecretKeyReference,
    own_image: str,
) -> Object:
    """The Job.

    Args:
        job: Whose document is submitted.
        attempt: How many attempts came before.
        cluster: The MarieCluster's name.
        environment: What the process is told.
        api_key: Where the gateway's key is.
        own_image: The operator's.
    """
    labels = {
        association.CLUSTER_LABEL: cluster,
        association.NODE_TYPE_LABEL: association.SUBMITTER,
    }
    metadata = association.of_job(job, name(job, attempt), labels=labels)
    return association.hashed(
        {
            "apiVersion": JOBS.api_version,
            "kind": JOBS.kind,
            "metadata": metadata,
            "spec": {
                "backoffLimit": job.spec.submitter_config.backoff_limit,
                "template": _template(
                    job.spec.submitter_pod_template or {}, metadata["labels"], environment, api_key, own_image
                ),
            },
        }
    )


def _template(
    template: Object,
    labels: Mapping[str, str],
    environment: Mapping[str, str],
    api_key: SecretKeyReference,
    own_image: str,
) -> Object:
    """The user's template with what it leaves open filled in; its own words stand, but for the labels."""
    user, written, main = template.get("spec", {}), template.get("metadata", {}), _main(template)
    is_own = not main.get("image")
    spec: Object = {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE,
        **({} if user.get("serviceAccountName") else {"automountServiceAccountToken": False}),
        **user,
    }
    if is_own:
        spec["securityContext"] = {**_POD_SECURITY, **(user.get("securityContext") or {})}
    completed = _completed(main, environment, api_key, own_image)
    spec["containers"] = [completed if each is main else each for each in user.get("containers") or [main]]
    metadata: Object = {"labels": {**written.get("labels", {}), **labels}}
    if written.get("annotations"):
        metadata["annotations"] = written["annotations"]
    return {"metadata": metadata, "spec": resources.canonical_pod(spec)}


def _completed(
    container: Object, environment: Mapping[str, str], api_key: SecretKeyReference, own_image: str
) -> Object:
    is_own = not container.get("image")
    result: Object = {"name": CONTAINER, "terminationMessagePolicy": "FallbackToLogsOnError", **container}
    if is_own:
        result["image"] = own_image
        result.setdefault("resources", _RESOURCES)
        result["securityContext"] = {**_SECURITY, **(container.get("securityContext") or {})}
        if not result.get("command") and not result.get("args"):
            result["command"] = _COMMAND
    named = {each["name"] for each in container.get("env") or ()}
    told: list[Object] = [{"name": each, "value": value.replace("$", "$$")} for each, value in environment.items()]
    told.append({"name": "MARIE_API_KEY", "valueFrom": {"secretKeyRef": {"name": api_key.name, "key": api_key.key}}})
    result["env"] = [*(container.get("env") or ()), *(each for each in told if each["name"] not in named)]
    return result


def _main(template: Object) -> Object:
    """The container that submits: the one of that name, else the first."""
    containers: list[Object] = template.get("spec", {}).get("containers") or [{}]
    return next((each for each in containers if each.get("name") == CONTAINER), containers[0])
