"""What an API server serves."""

import asyncio
from typing import Any

from marie_operator.testing.api import Api, ApiStatus
from marie_operator.testing.workloads.objects import Resource


async def deletable(api: Api, *, namespaced: bool | None = None) -> list[Resource]:
    """The resources, in the preferred version of each group, whose objects can be listed, watched and deleted.

    Args:
        api: Whom to ask.
        namespaced: Only those that live in namespaces, or only those that do not; None is both.
    """
    groups = (await api.get("/apis"))["groups"]
    versions = ["v1", *(each["preferredVersion"]["groupVersion"] for each in groups)]
    lists = await asyncio.gather(*(_served(api, each) for each in versions))
    found = [_resource(version, each) for version, served in zip(versions, lists, strict=True) for each in served]
    return [each for each in found if namespaced is None or each.namespaced is namespaced]


async def _served(api: Api, version: str) -> list[dict[str, Any]]:
    root = "/apis" if "/" in version else "/api"
    try:
        served = (await api.get(f"{root}/{version}"))["resources"]
    except ApiStatus as error:
        # The group went with its last definition.
        if error.code != 404:
            raise
        return []
    return [each for each in served if "/" not in each["name"] and {"list", "watch", "delete"} <= set(each["verbs"])]


def _resource(version: str, served: dict[str, Any]) -> Resource:
    return Resource(version, served["name"], served["kind"], served["namespaced"])
