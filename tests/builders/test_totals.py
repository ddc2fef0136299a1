from typing import Any

import pytest
from hypothesis import given

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import association, endpoints, resources, service, totals
from marie_operator.runtime import quantity
from tests.builders.clusters import cluster, container, group, template
from tests.builders.specs import clusters


def asking(**amounts: Any) -> dict[str, Any]:
    """A container's resources."""
    return container(resources=amounts)


def test_requests_count_and_limits_where_there_is_no_request_over_all_pods() -> None:
    given = cluster(
        group("a", template(asking(requests={"cpu": "500m"}, limits={"cpu": "4", "memory": "512Mi"})), replicas=3),
        group("b", template(asking(limits={"nvidia.com/gpu": "2", "cpu": 1})), replicas=2),
        server={"template": template(asking(requests={"cpu": "250m", "memory": "1Gi"}))},
    )
    assert totals.of(given) == ("3750m", "2560Mi", "4")


def test_nothing_asked_for_is_zero() -> None:
    assert totals.of(cluster(group("a"))) == ("0", "0", "0")


def test_what_is_suspended_asks_for_nothing() -> None:
    groups = [
        group("a", template(asking(limits={"cpu": 2}))),
        group("b", template(asking(limits={"cpu": 1})), suspend=True),
    ]
    assert totals.of(cluster(*groups)).cpu == "2"
    assert totals.of(cluster(*groups, suspend=True)) == ("0", "0", "0")


def test_sidecars_run_along_and_steps_before_run_alone() -> None:
    def step(cpu: str, **fields: Any) -> dict[str, Any]:
        return {"name": f"i{cpu}", "image": "i", "resources": {"requests": {"cpu": cpu}}, **fields}

    def cpu(*steps: dict[str, Any]) -> str:
        server = template(asking(requests={"cpu": "1"}), initContainers=list(steps))
        return totals.of(cluster(server={"template": server})).cpu

    assert cpu(step("500m")) == "1"
    assert cpu(step("3")) == "3"
    assert cpu(step("3"), step("2")) == "3"
    assert cpu(step("2", restartPolicy="Always")) == "3"
    # A step after a sidecar runs beside it.
    assert cpu(step("2", restartPolicy="Always"), step("4")) == "6"
    assert cpu(step("4"), step("2", restartPolicy="Always")) == "4"


def test_a_quantity_that_is_none_leaves_the_others_counted() -> None:
    given = cluster(server={"template": template(asking(requests={"cpu": "much", "memory": "1Gi"}))})
    assert totals.of(given) == ("0", "1Gi", "0")


@pytest.mark.parametrize(
    ("name", "is_gpu"),
    [
        ("nvidia.com/gpu", True),
        ("nvidia.com/gpu.shared", True),
        ("nvidia.com/mig-1g.10gb", True),
        ("amd.com/gpu", True),
        ("example.com/gpu", True),
        ("gpu.intel.com/i915", True),
        ("gpu", False),
        ("cpu", False),
        ("aliyun.com/gpu-mem", False),
        ("requests.nvidia.com/gpu-memory", False),
        ("example.com/mig-welder", False),
    ],
)
@pytest.mark.kuberay("KU-05")
def test_which_resources_are_gpus(name: str, is_gpu: bool) -> None:
    assert resources.is_gpu(name) is is_gpu


@pytest.mark.model
@given(clusters())
def test_totals_are_canonical_and_grow_with_replicas(given: MarieCluster) -> None:
    sums = totals.of(given)
    assert [quantity.canonical(each) for each in sums] == list(sums)
    groups = tuple(each.model_copy(update={"replicas": each.replicas + 1}) for each in given.spec.executor_group_specs)
    more = given.model_copy(update={"spec": given.spec.model_copy(update={"executor_group_specs": groups})})
    assert all(quantity.parse(a) <= quantity.parse(b) for a, b in zip(sums, totals.of(more), strict=True))


@pytest.mark.model
@given(clusters())
def test_endpoints_are_the_servers_service_on_its_own_ports(given: MarieCluster) -> None:
    ports = {port["name"]: port["port"] for port in service.server(given)["spec"]["ports"]}
    host = f"{association.server_service_name(given.metadata.name)}.n.svc"
    assert endpoints.of(given) == {name: f"{name}://{host}:{ports[name]}" for name in ("http", "grpc")}
