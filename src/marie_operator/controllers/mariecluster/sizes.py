"""Sizes of executor groups that others have set, such as ``kubectl scale`` and autoscalers: left to them, and told."""

from collections.abc import Collection, Mapping, Sequence

from marie_operator.api.conditions import ClusterReason
from marie_operator.builders import association, deployment
from marie_operator.controllers.mariecluster.refusals import Refusal
from marie_operator.runtime import ApplyConflict, Writer, children
from marie_operator.runtime.children import Change, Done, Step
from marie_operator.runtime.resource import DEPLOYMENTS, Object, Resource

_FIELD = ".spec.replicas"


def is_others(live: Object) -> bool:
    """Whether a group's Deployment has another size than the operator has asked for."""
    return deployment.asked(live) not in {None, int(live["spec"].get("replicas", 1))}


def told(group: str, live: Object, wanted: int) -> Refusal:
    """What is told of a size that is another's.

    Args:
        group: The group's name.
        live: Its Deployment.
        wanted: How many pods the spec asks for.
    """
    name, size = live["metadata"]["name"], live["spec"].get("replicas", 1)
    return Refusal(
        ClusterReason.FIELD_CONFLICT,
        f"Group {group} has the size {size} and not {wanted}, because somebody else has set spec.replicas of "
        f"{DEPLOYMENTS.kind} {name}: set replicas of the group to {size}, or scale {name} to {wanted} and let nothing "
        "else scale it.",
    )


def sized(
    desired: Sequence[tuple[Resource, Object]], replicas: Mapping[str, int], taken: Collection[str]
) -> list[tuple[Resource, Object]]:
    """The chain's manifests, with as many executors as there have to be yet.

    Args:
        desired: The manifests.
        replicas: How many pods Deployments are to ask for, by their names.
        taken: Names of Deployments whose size is another's.
    """

    def manifest_of(manifest: Object) -> Object:
        name = manifest["metadata"]["name"]
        if name in replicas:
            return deployment.scaled(manifest, replicas[name])
        return deployment.unsized(manifest) if name in taken else manifest

    return [(kind, manifest_of(manifest) if kind == DEPLOYMENTS else manifest) for kind, manifest in desired]


async def carry_out(step: Step, live: Object | None, client: Writer, *, owner_uid: str) -> Done:
    """Do one step; a size that somebody else had set to what was asked for is the operator's to change.

    Args:
        step: What is to be done.
        live: The child as it was compared.
        client: Writes.
        owner_uid: The cluster's.

    Raises:
        NameTaken: as ``children.carry_out``.
        ApiError: as ``children.carry_out``; a Conflict where the child has changed since.
    """
    try:
        return await children.carry_out(step, client, owner_uid=owner_uid, field_manager=association.FIELD_MANAGER)
    except ApplyConflict as error:
        if live is None or not isinstance(step, Change) or not alone_conflicts(step, error):
            raise
    metadata = {**step.desired["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
    manifest = {**step.desired, "metadata": metadata}
    answer = await client.apply(step.resource, manifest, field_manager=association.FIELD_MANAGER, force=True)
    return Done("Changed", f"{step.resource.kind} {metadata['name']}: {_FIELD.lstrip('.')}", answer)


def alone_conflicts(step: Step, error: Exception) -> bool:
    """Whether a group's change is refused for its size alone: he who set it meant the size that was asked for then."""
    if not (isinstance(error, ApplyConflict) and isinstance(step, Change) and step.resource == DEPLOYMENTS):
        return False
    grouped = association.GROUP_LABEL in step.desired["metadata"]["labels"]
    return grouped and {conflict.field for conflict in error.conflicts} == {_FIELD}
