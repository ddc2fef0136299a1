"""The workloads as a whole: an API server that restarts, and failures that are told."""

import pytest

from marie_operator.testing.api import Api, ApiStatus, HttpWire
from marie_operator.testing.apiserver.embedded import EmbeddedApiServer
from marie_operator.testing.workloads import Workloads
from tests.testing.workloads.conftest import Room, Stage
from tests.testing.workloads.test_deployments_live import deployment


async def test_work_goes_on_when_the_api_server_is_back(stage: Stage, room: Room) -> None:
    await room.create("deployments", deployment("web", 3))
    await room.until("deployments", "web", lambda found: found["status"].get("availableReplicas") == 3)
    await stage.plane.kill_apiserver()
    await stage.plane.start_apiserver()
    await room.api.patch(room.path("deployments", "web"), {"spec": {"replicas": 5}})
    await room.until("deployments", "web", lambda found: found["status"].get("availableReplicas") == 5)
    assert len(await room.items("pods")) == 5
    await room.api.delete(room.path("deployments", "web"))
    await room.until_items("pods", lambda found: found == [])


@pytest.mark.embedded
async def test_a_server_that_refuses_is_told() -> None:
    async with EmbeddedApiServer() as server, Api(HttpWire(server.url, ca=None, token="nobody")) as api:
        with pytest.raises(ExceptionGroup, match="the workloads failed") as failure:
            async with Workloads(api):
                pass
    assert failure.group_contains(ApiStatus, match="401")
