"""Pod templates: what Marie needs, filled in where the user's template says nothing."""

from collections.abc import Iterable, Mapping
from typing import Any

from marie_operator.api.mariecluster import ExecutorGroupSpec, MarieCluster
from marie_operator.builders import association, environment, probes, quantity, volumes
from marie_operator.builders.association import EXECUTOR, FLOW_PORT, GRPC, HTTP, SERVER, SERVER_PORTS, WORKER_PORT
from marie_operator.runtime.resource import Object

SERVER_GRACE = 10
"""Seconds until the server is killed: it never ends on SIGTERM, so more would only delay (marie-wire 4)."""
EXECUTOR_GRACE = 300
"""Seconds an executor gets for the document it works on; Marie cannot drain one."""


def server_template(cluster: MarieCluster) -> Object:
    """The pod template of the gateway and its scheduler."""
    spec = cluster.spec.server_spec
    ports = server_ports(cluster)

    def completed(container: Object) -> Object:
        return _completed(
            container,
            args=_server_args(cluster, ports),
            ports=[_port(name, number) for name, number in ports.items()],
            probes=probes.server(ports[HTTP]),
            env=environment.server(cluster),
            mounts=volumes.SERVER,
        )

    return _template(
        spec.template,
        labels=association.labels(cluster, SERVER),
        completed=completed,
        grace=SERVER_GRACE,
        pod_volumes=volumes.SERVER,
    )


def executor_template(cluster: MarieCluster, group: ExecutorGroupSpec) -> Object:
    """The pod template of a group's executors."""
    name = association.executor_name(group)

    def completed(container: Object) -> Object:
        return _completed(
            container,
            args=["server", "--start"],
            ports=[_port(association.WORKER, WORKER_PORT), _port(association.FLOW, FLOW_PORT)],
            probes=probes.executor(),
            env=environment.executor(cluster, group),
            mounts=volumes.EXECUTOR,
        )

    labels = {**association.labels(cluster, EXECUTOR, group), association.EXECUTOR_LABEL: _label_value(name)}
    return _template(
        group.template, labels=labels, completed=completed, grace=EXECUTOR_GRACE, pod_volumes=volumes.EXECUTOR
    )


def server_ports(cluster: MarieCluster) -> dict[str, int]:
    """Numbers of the server's ports by name: the user's named ports, then Marie's own (marie.md 7.1)."""
    container = main_container(cluster.spec.server_spec.template)
    named = {port["name"]: int(port["containerPort"]) for port in container.get("ports") or () if port.get("name")}
    chosen = {HTTP: named.get(HTTP, SERVER_PORTS[HTTP]), GRPC: named.get(GRPC, SERVER_PORTS[GRPC])}
    return chosen | ({association.METRICS: named[association.METRICS]} if association.METRICS in named else {})


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
    template: Object, *, labels: Mapping[str, str], completed: Any, grace: int, pod_volumes: volumes.Mounts
) -> Object:
    """The user's template with what it leaves open filled in; its own words always stand."""
    main = main_container(template)
    user = template.get("spec", {})
    containers = [completed(item) if item is main else _canonical(item) for item in user.get("containers") or ()]
    spec: Object = {
        "terminationGracePeriodSeconds": grace,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **user,
        "containers": containers,
    }
    if "serviceAccountName" in user:
        # Who names an account wants its token.
        spec["automountServiceAccountToken"] = user.get("automountServiceAccountToken", True)
    if "initContainers" in user:
        spec["initContainers"] = [_canonical(item) for item in user["initContainers"]]
    added = volumes.missing(user, main, pod_volumes)
    if added or user.get("volumes"):
        spec["volumes"] = [*(user.get("volumes") or ()), *added]
    written = template.get("metadata", {})
    metadata: Object = {"labels": {**written.get("labels", {}), **labels}}
    if written.get("annotations"):
        metadata["annotations"] = written["annotations"]
    return {"metadata": metadata, "spec": spec}


def _completed(
    container: Object,
    *,
    args: list[str],
    ports: list[Object],
    probes: Mapping[str, Object],
    env: Iterable[Object],
    mounts: volumes.Mounts,
) -> Object:
    result = {**_canonical(container)}
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
    return result


def _merged(written: Iterable[Object], wanted: Iterable[Object]) -> list[Object]:
    """Ports the user wrote, and those of ours whose name and number are both free."""
    result = list(written)
    taken = {port.get("name") for port in result} | {port["containerPort"] for port in result}
    return result + [port for port in wanted if not {port["name"], port["containerPort"]} & taken]


def _port(name: str, number: int) -> Object:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _canonical(container: Object) -> Object:
    """The container with its quantities as the API server stores them, so that it compares equal later."""
    resources = container.get("resources")
    if not resources:
        return container
    kept = {
        part: {name: quantity.canonical(value) for name, value in amounts.items()}
        if part in {"limits", "requests"} and amounts
        else amounts
        for part, amounts in resources.items()
    }
    return {**container, "resources": kept}


def _label_value(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)[:63].strip("-_.")
