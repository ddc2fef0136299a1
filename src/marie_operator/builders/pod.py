"""Pod templates: what Marie needs, filled in where the user's template says nothing."""

import itertools
from collections.abc import Callable, Iterable, Mapping

from marie_operator.api.mariecluster import CONFIG_FILE, ExecutorGroupSpec, MarieCluster
from marie_operator.builders import association, backing, environment, probes, resources, volumes, waits
from marie_operator.builders.association import (
    EXECUTOR,
    FLOW,
    FLOW_PORT,
    GRPC,
    HTTP,
    METRICS,
    SERVER,
    SERVER_PORTS,
    WORKER,
    WORKER_PORT,
)
from marie_operator.runtime.resource import Object

SERVER_GRACE = 10
"""Seconds until the server is killed: it never ends on SIGTERM, so more would only delay (MA-20)."""
EXECUTOR_GRACE = 300
"""Seconds an executor gets for the document it works on; Marie cannot drain one."""


def server_template(cluster: MarieCluster) -> Object:
    """The pod template of the gateway and its scheduler."""
    spec = cluster.spec.server_spec
    ports = server_ports(cluster)
    rendered = renders_server(cluster)
    mounts = {**volumes.SERVER, **(volumes.gateway_files(cluster) if rendered else {})}

    def completed(container: Object) -> Object:
        return _completed(
            container,
            args=_server_args(cluster, ports),
            ports=[_port(name, number) for name, number in ports.items()],
            probes=probes.server(ports[HTTP]),
            env=[*environment.server(cluster), *([] if rendered else environment.services(cluster))],
            mounts=mounts,
        )

    return _template(
        cluster,
        spec.template,
        labels=association.labels(cluster, SERVER),
        selector=association.selector(cluster, SERVER),
        completed=completed,
        grace=SERVER_GRACE,
        pod_volumes=mounts,
    )


def executor_template(cluster: MarieCluster, group: ExecutorGroupSpec) -> Object:
    """The pod template of a group's executors."""
    ports = executor_ports(group)
    rendered = renders_group(cluster, group)
    mounts = {
        **volumes.EXECUTOR,
        **volumes.model_cache(group),
        **(volumes.group_files(cluster, group) if rendered else {}),
    }
    file = CONFIG_FILE if rendered else group.config_file

    def completed(container: Object) -> Object:
        return _completed(
            container,
            args=["server", "--start", *(["--uses", file] if file else [])],
            ports=[_port(name, number) for name, number in ports.items()],
            probes=probes.executor(ports[WORKER]),
            env=[
                *environment.executor(cluster, group, ports),
                *([] if rendered else environment.services(cluster)),
            ],
            mounts=mounts,
        )

    selector = association.selector(cluster, EXECUTOR, group)
    return _template(
        cluster,
        _spread(group.template, selector),
        labels=association.labels(cluster, EXECUTOR, group),
        selector=selector,
        completed=completed,
        grace=EXECUTOR_GRACE,
        pod_volumes=mounts,
    )


def _spread(template: Object, selector: Mapping[str, str]) -> Object:
    """The user's template; constraints that do not say which pods they spread mean the group's own."""
    spec = template.get("spec", {})
    constraints = spec.get("topologySpreadConstraints")
    if not constraints:
        return template
    whose = {"labelSelector": {"matchLabels": dict(selector)}}
    return {**template, "spec": {**spec, "topologySpreadConstraints": [{**whose, **each} for each in constraints]}}


def renders_server(cluster: MarieCluster) -> bool:
    """Whether the gateway's configuration is the operator's: the user names, mounts and starts with none."""
    spec = cluster.spec.server_spec
    return (
        backing.of(cluster) is not None and spec.config_file == CONFIG_FILE and not _has_own(spec.template, CONFIG_FILE)
    )


def renders_group(cluster: MarieCluster, group: ExecutorGroupSpec) -> bool:
    """Whether a group's Flow is the operator's: the user names, mounts and starts with none."""
    return backing.of(cluster) is not None and not group.config_file and not _has_own(group.template, CONFIG_FILE)


def _has_own(template: Object, file: str) -> bool:
    main = main_container(template)
    return "command" in main or "args" in main or volumes.provides(main, file)


def server_ports(cluster: MarieCluster) -> dict[str, int]:
    """Numbers of the server's ports by name: the user's named ports, then Marie's own (MA-12)."""
    named = named_ports(cluster.spec.server_spec.template)
    metrics = {METRICS: named[METRICS]} if METRICS in named else {}
    return _chosen_ports(SERVER_PORTS, {name: named[name] for name in (HTTP, GRPC) if name in named} | metrics)


def executor_ports(group: ExecutorGroupSpec) -> dict[str, int]:
    """Numbers of an executor's ports by name: the user's named ports, then ours, which the Flow is told of.

    A port that the user names ``grpc`` is the worker's, unless another is.
    """
    named = named_ports(group.template)
    written = {WORKER: named.get(WORKER, named.get(GRPC)), FLOW: named.get(FLOW)}
    kept = {name: number for name, number in written.items() if number is not None}
    return _chosen_ports({WORKER: WORKER_PORT, FLOW: FLOW_PORT}, kept)


def named_ports(template: Object) -> dict[str, int]:
    """Numbers of the ports that Marie's container names."""
    ports = main_container(template).get("ports") or ()
    return {
        port["name"]: int(port["containerPort"])
        for port in ports
        if port.get("name") and port.get("protocol", "TCP") == "TCP"
    }


def _chosen_ports(usual: Mapping[str, int], written: Mapping[str, int]) -> dict[str, int]:
    """The written numbers, and the usual ones of the other names, or the next that is free."""
    chosen = dict(written)
    for name, number in usual.items():
        if name not in chosen:
            chosen[name] = next(free for free in itertools.count(number) if free not in chosen.values())
    return {name: chosen[name] for name in (*usual, *written)}


def main_container(template: Object) -> Object:
    """The container that runs Marie: the one of that name, else the first."""
    containers: list[Object] = template.get("spec", {}).get("containers") or [{}]
    return next((item for item in containers if item.get("name") == association.CONTAINER), containers[0])


def _server_args(cluster: MarieCluster, ports: Mapping[str, int]) -> list[str]:
    spec = cluster.spec.server_spec
    arguments = ["gateway", "--uses", spec.config_file, "--protocols", "HTTP", "GRPC"]
    arguments += ["--ports", str(ports[HTTP]), str(ports[GRPC])]
    for name, value in sorted(spec.server_start_params.items()):
        arguments += [f"--{name}", value] if value else [f"--{name}"]
    return arguments


def _template(
    cluster: MarieCluster,
    template: Object,
    *,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
    completed: Callable[[Object], Object],
    grace: int,
    pod_volumes: volumes.Mounts,
) -> Object:
    """The user's template with what it leaves open filled in; its own words stand, but for the labels that select."""
    main = main_container(template)
    user = template.get("spec", {})
    containers = [completed(item) if item is main else item for item in user.get("containers") or ()]
    spec: Object = {"terminationGracePeriodSeconds": grace, "enableServiceLinks": False}
    account = user.get("serviceAccountName") or user.get("serviceAccount")
    if account:
        # Kubernetes fills in the field's old name as well: whoever does not own both cannot take the account back.
        spec |= {"serviceAccountName": account, "serviceAccount": account}
    else:
        # Who names an account wants its token, unless the account itself says otherwise.
        spec["automountServiceAccountToken"] = False
    spec |= {**user, "containers": containers}
    if checks := waits.containers(cluster, main):
        spec["initContainers"] = [*(user.get("initContainers") or ()), *checks]
    added = volumes.missing(user, main, pod_volumes)
    if added or user.get("volumes"):
        spec["volumes"] = [*(user.get("volumes") or ()), *added]
    written = template.get("metadata", {})
    metadata: Object = {"labels": {**labels, **written.get("labels", {}), **selector}}
    if written.get("annotations"):
        metadata["annotations"] = written["annotations"]
    return {"metadata": metadata, "spec": resources.canonical_pod(spec)}


def _completed(
    container: Object,
    *,
    args: list[str],
    ports: list[Object],
    probes: Mapping[str, Object],
    env: Iterable[Object],
    mounts: volumes.Mounts,
) -> Object:
    result = dict(container)
    if "command" not in container and "args" not in container:
        result["args"] = args
    for name, probe in probes.items():
        result.setdefault(name, probe)
    result["ports"] = _merged(container.get("ports") or (), ports)
    named = {item["name"] for item in container.get("env") or ()}
    result["env"] = [*(container.get("env") or ()), *(item for item in env if item["name"] not in named)]
    added = volumes.missing_mounts(container, mounts)
    if added or container.get("volumeMounts"):
        result["volumeMounts"] = [*(container.get("volumeMounts") or ()), *added]
    result["securityContext"] = _confined(container.get("securityContext") or {})
    return result


def _confined(context: Object) -> Object:
    """Marie's images run as root, and need no more than that; what is privileged cannot be kept from it."""
    added = (context.get("capabilities") or {}).get("add") or ()
    if context.get("privileged") or {"SYS_ADMIN", "CAP_SYS_ADMIN"} & set(added):
        return context
    return {"allowPrivilegeEscalation": False, **context}


def _merged(written: Iterable[Object], wanted: Iterable[Object]) -> list[Object]:
    """Ports the user wrote, and those of ours whose name and number are both free."""
    result = list(written)
    taken = {port.get("name") for port in result} | {port["containerPort"] for port in result}
    return result + [port for port in wanted if not {port["name"], port["containerPort"]} & taken]


def _port(name: str, number: int) -> Object:
    return {"name": name, "containerPort": number, "protocol": "TCP"}
