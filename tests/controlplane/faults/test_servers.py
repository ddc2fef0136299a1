"""The servers fail: etcd and the API server die in the middle, forget, deny, lose a kind and are set back."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest

from marie_operator.testing import manifests
from marie_operator.testing.proxy import TcpProxy
from tests.controlplane.faults.bounds import HASTY, after_outage, after_silence
from tests.controlplane.faults.trial import CLUSTERS, Trial
from tests.controlplane.faults.trial import HASTY as HASTY_PROGRAM
from tests.controlplane.installation import is_allowed
from tests.controlplane.world import ROOT

pytestmark = pytest.mark.real

Action: TypeAlias = Callable[[], Awaitable[None]]

OUTAGE = 15.0
"""Most seconds that a server is away in these tests, its start included."""
LEAD = 1000
"""Versions by which a server that is set back is behind: more than are given anew before it is asked how far it is."""
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/marie-operator"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/marieclusters.marie.ai"


@contextlib.asynccontextmanager
async def away(kill: Action, start: Action) -> AsyncIterator[None]:
    """A server that is dead meanwhile; whatever is found, others need it again."""
    await kill()
    try:
        yield
    finally:
        await start()


async def test_an_api_server_that_is_killed_in_the_middle(trial: Trial) -> None:
    plane = trial.plane
    async with trial.running():
        await trial.started()
        await trial.clusters(last=2)
        await trial.until("the first child is there", lambda: trial.items("services"))
        async with away(plane.kill_apiserver, plane.start_apiserver):
            await trial.told(
                trial.readiness, "[-]caches failed: cannot list or watch", "onnect", within=after_outage(0)
            )
            await trial.told(trial.metrics, "rest_client_requests_total", "<error>", within=after_outage(0))
        await trial.clusters(first=2)
        await trial.recovered(within=after_outage(OUTAGE))


async def test_an_etcd_that_is_killed_in_the_middle(trial: Trial) -> None:
    plane = trial.plane

    async def served() -> bool:
        # Out of the API server's memory, out of which it serves watches as well.
        return len((await trial.api.get(f"{trial.path('marieclusters')}?resourceVersion=0"))["items"]) == 2

    async with trial.running(program=HASTY_PROGRAM) as operator:
        await trial.started()
        await trial.clusters(last=1)
        await trial.until("the first child is there", lambda: trial.items("services"))
        async with contextlib.AsyncExitStack() as outage:
            # So that it surely has something to write while there is no etcd: without, it need not notice.
            with operator.paused():
                log = trial.log_from_now()
                await trial.clusters(first=1, last=2)
                await trial.until("the API server has what it tells the operator", served)
                await outage.enter_async_context(away(plane.kill_etcd, plane.start_etcd))
            await trial.told(log, "the API server cannot be used", within=after_silence(HASTY))
        await trial.clusters(first=2)
        await trial.recovered(within=after_outage(OUTAGE))


async def test_a_backup_that_is_restored(trial: Trial, line: TcpProxy) -> None:
    """All that came after it never was, and the versions of then are given anew."""
    plane = trial.plane
    async with trial.running(trial.through(line.port)):
        await trial.started()
        await trial.clusters(last=2)
        await plane.back_up()
        for number in range(LEAD):
            note = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "note"}, "data": {"at": str(number)}}
            await trial.api.apply(trial.path("configmaps", "note"), note)
        await trial.clusters(first=2)
        await trial.until("all children are there", trial.complete)
        line.refusing, log = True, trial.log_from_now()
        line.cut()
        await plane.restore()
        await trial.clusters(first=2)
        line.refusing = False
        await trial.told(log, "the API server was set back to an earlier state", within=after_outage(OUTAGE))
        await trial.recovered(within=after_outage(OUTAGE))


async def test_a_storm_of_compactions(trial: Trial, line: TcpProxy) -> None:
    plane = trial.plane
    async with trial.running(trial.through(line.port)):
        await trial.started()
        await trial.clusters(last=2)
        # Nobody works for the Deployments here, and a group that is not settled shrinks no further: it ends by growing.
        for number, replicas in ((2, 1), (3, 2)):
            line.refusing, log = True, trial.log_from_now()
            line.cut()
            # Unseen, and so far back that nobody remembers: an API server that starts knows only what etcd keeps.
            changed = [{"op": "replace", "path": "/spec/executorGroupSpecs/0/replicas", "value": replicas}]
            path = trial.path("marieclusters", "c0")
            await trial.api.call("PATCH", path, changed, content_type="application/json-patch+json")
            await trial.clusters(first=number, last=number + 1)
            await plane.compact()
            await plane.kill_apiserver()
            await plane.start_apiserver()
            line.refusing = False
            await trial.told(log, "too old resource version", within=after_outage(OUTAGE))
        await trial.recovered(within=after_outage(2 * OUTAGE))


async def test_rights_that_are_withdrawn_and_given_back(trial: Trial, line: TcpProxy) -> None:
    binding = await trial.api.get(BINDING)

    async def withdrawn() -> bool:
        return not await is_allowed(trial.plane, "watch", "marieclusters.marie.ai", trial.namespace)

    async with trial.running(trial.through(line.port)):
        await trial.started()
        await trial.clusters(last=2)
        try:
            await trial.api.delete(BINDING)
            await trial.until("the rights are withdrawn", withdrawn)
            # A watch that is open is not asked again; sooner or later each of them ends.
            line.cut()
            await trial.clusters(first=2)
            await trial.told(trial.readiness, "[-]caches failed", "may not list and watch", within=after_outage(0))
            await trial.told(trial.readiness, "is forbidden: User", within=after_outage(0))
        finally:
            del binding["metadata"]["resourceVersion"], binding["metadata"]["uid"]
            await trial.api.create(BINDING.rpartition("/")[0], binding)
        await trial.recovered(within=after_outage(OUTAGE))


async def test_a_kind_that_is_taken_away_and_comes_back(trial: Trial) -> None:
    async with trial.running():
        await trial.started()
        await trial.clusters()
        await trial.until("all children are there", trial.complete)
        await trial.api.delete(DEFINITION)
        try:
            await trial.told(
                trial.readiness,
                "the API server does not know marieclusters.marie.ai; is its CustomResourceDefinition installed?",
                within=after_outage(0),
            )
            for number in range(CLUSTERS):
                await trial.orphaned(f"c{number}")
        finally:
            await manifests.apply(trial.api, manifests.read(ROOT / "config/crd"))
        await trial.clusters()
        await trial.recovered(within=after_outage(OUTAGE))
