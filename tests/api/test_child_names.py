import re
from typing import Any

import pytest

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.api.validation import problems
from marie_operator.builders import chain
from tests.api.refused import TEMPLATE


def cluster(name: str, group: str) -> MarieCluster:
    spec: dict[str, Any] = {
        "serverSpec": {"template": TEMPLATE},
        "executorGroupSpecs": [{"groupName": group, "template": TEMPLATE}],
        "enableIngress": True,
    }
    return MarieCluster.model_validate({"metadata": {"name": name, "uid": "u", "namespace": "n"}, "spec": spec})


@pytest.mark.parametrize(("name", "group"), [("c" * 47, "gg"), ("c" * 20, "9" * 29), ("c", "g" * 48), ("c-1", "0")])
def test_an_accepted_cluster_has_children_with_names_that_dns_takes(name: str, group: str) -> None:
    accepted = cluster(name, group)
    assert problems(accepted) == []
    names = [manifest["metadata"]["name"] for _, manifest in chain.desired(accepted)]
    assert [each for each in names if not re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", each)] == []


@pytest.mark.parametrize(("name", "group"), [("c" * 48, "g"), ("c" * 20, "g" * 30), ("c", "g" * 49)])
def test_the_limit_is_where_a_name_would_be_too_long(name: str, group: str) -> None:
    refused = cluster(name, group)
    assert problems(refused)
    assert max(len(manifest["metadata"]["name"]) for _, manifest in chain.desired(refused)) == 64
