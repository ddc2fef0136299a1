"""The managed services, beyond what their goldens show."""

from typing import Any

import pytest

from marie_operator.builders import chain
from marie_operator.runtime.resource import STATEFUL_SETS
from tests.builders.clusters import cluster


def etcd_arguments(**managed: Any) -> list[str]:
    built = chain.desired(cluster(backingServices={"etcd": {"managed": managed}, "postgres": {"managed": {}}}))
    (container,) = next(
        manifest["spec"]["template"]["spec"]["containers"]
        for resource, manifest in built
        if resource is STATEFUL_SETS and manifest["metadata"]["name"] == "c-etcd"
    )
    return list(container["args"])


@pytest.mark.parametrize(
    ("size", "quota"),
    [(None, 2**30), ("512Mi", 2**28), (2**30, 2**29), ("100Gi", 2**33), ("1", 1)],
)
def test_etcd_is_full_before_its_volume_is(size: object, quota: int) -> None:
    storage = {} if size is None else {"storage": {"size": size}}
    assert f"--quota-backend-bytes={quota}" in etcd_arguments(**storage)
