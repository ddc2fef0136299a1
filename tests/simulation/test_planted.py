"""Defects, planted, each of which the simulation finds: what it would miss if it were blind."""

import asyncio
import contextlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from marie_operator.api.conditions import JobReason
from marie_operator.cli.assembly import Operator
from marie_operator.controllers.mariecluster.scaling import Member
from marie_operator.controllers.mariejob import decide, reconciler
from marie_operator.controllers.mariejob.course import Course
from marie_operator.controllers.mariejob.deadlines import Overrun
from marie_operator.marie import submitter
from marie_operator.marie.document import Document
from marie_operator.marie.ticket import Ticket
from marie_operator.runtime import ApiError, Client, Manager, PatchKind, Unreachable
from marie_operator.runtime.decoding import WatchEvent
from marie_operator.runtime.informer import Informer
from marie_operator.runtime.reflector import Reflector
from marie_operator.runtime.resource import SERVICES, Object, ObjectKey, Resource
from marie_operator.runtime.status import StatusWriter, merge_patch
from tests.simulation import run
from tests.simulation.chaos import Chaos, Hit
from tests.simulation.run import simulate, undisturbed, without_faults
from tests.simulation.trace import Trace
from tests.simulation.workload import GROUP, KEYS, Cluster, Group, Job, Step, Workload

pytestmark = pytest.mark.timeout(900)

SEEDS = 1000
"""Within so many, each must fall."""
PAGE = Path(__file__).parents[2] / "docs" / "simulation.md"
"""Says at which seed each does."""
MESSAGES = range(3, 7)
"""As for an operator: a submitter that does not search is killed as it submits, or a little earlier or later."""
SLOW = 5
"""A seed by which pods take four seconds to start."""
EVERY = 50
"""Of the versions of objects, one in so many is never told of."""


@pytest.fixture(autouse=True)
def _own_references() -> Iterator[None]:
    """No other test gets to see a run without faults that had a defect."""
    without_faults.cache_clear()
    yield
    without_faults.cache_clear()


def falls(word: str = "") -> int:
    """The first seed that finds something, told of with a word."""
    for seed in range(SEEDS):
        if any(word in problem for problem in simulate(seed).problems):
            return seed
    raise AssertionError(f"{SEEDS} seeds have not found it")


def told(planted: str) -> int:
    """The seed at which the page says that a planted defect falls."""
    (found,) = re.findall(rf"^\| {planted}: .* \| (\d+) \| .* \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return int(found)


def test_a_dropped_confirmation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that was lost is taken for a no: what Marie may have is not looked up, and submitted again."""
    unanswered = Document.unanswered

    def dropped(document: Document, message: str, now: float, *, maybe_sent: bool) -> None:
        unanswered(document, message, now, maybe_sent=False)

    monkeypatch.setattr(Document, "unanswered", dropped)
    assert falls("submitted twice") == told("a dropped confirmation")


def test_a_lost_event_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that a watch brings does not reach the cache."""
    take = Reflector._take

    def losing(reflector: Reflector, event: WatchEvent) -> None:
        if event.type == "BOOKMARK" or int(event.object["metadata"]["resourceVersion"]) % EVERY:
            take(reflector, event)

    monkeypatch.setattr(Reflector, "_take", losing)
    assert falls() == told("a lost event")


def test_a_write_that_nobody_checks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each replica writes three times, whether or not it leads, and nothing is asked before that leaves."""
    clients: list[Client] = []
    make, manage = Operator.__init__, Manager.__init__

    def made(operator: Operator, client: Client, **more: Any) -> None:
        clients.append(client)
        make(operator, client, **more)

    def managed(manager: Manager, *, standing: Sequence[Any] = (), **more: Any) -> None:
        client = clients[-1]

        async def write() -> None:
            for _ in range(3):
                await asyncio.sleep(5)
                with contextlib.suppress(ApiError, Unreachable):
                    await client.delete(SERVICES, ObjectKey("default", "none"))

        manage(manager, standing=(*standing, write), **more)

    monkeypatch.setattr(Operator, "__init__", made)
    monkeypatch.setattr(Manager, "__init__", managed)
    assert falls("holds the lease") == told("an unchecked write")


def test_a_job_that_is_given_up_for_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """While something goes wrong, what a job waits for is taken for its end."""
    end, chaos = decide._end, [False]
    carried_out = run._Run.carried_out

    def carried(self: Any) -> list[str]:
        chaos[0] = bool(self.ill.hits)
        return carried_out(self)

    def ended(course: Course, overrun: Overrun | None) -> Any:
        if (
            chaos[0]
            and course.obstacle is not None
            and course.job.status.start_time is not None
            and course.documents.total != 0
        ):
            overrun = Overrun(JobReason.DEADLINE_EXCEEDED, "planted")
        return end(course, overrun)

    monkeypatch.setattr(run._Run, "carried_out", carried)
    monkeypatch.setattr(decide, "_end", ended)
    assert falls("mariejobs/") == told("a job given up")


def test_a_removal_of_pods_at_work_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever works counts as idle, when a group with long documents in hand is to be smaller."""
    many, one = Cluster({GROUP: Group(replicas=3)}), Cluster({GROUP: Group(replicas=1)})
    job = Job("c0", "s3://bucket/documents/", in_flight=4)
    steps = (Step(0.0, "c0", many), Step(8.0, "j1", job), Step(45.0, "c0", one))
    users = Workload(steps, dict.fromkeys(KEYS, 60.0))
    assert undisturbed(users, "sound").problems == ()
    monkeypatch.setattr(Member, "idle", True)
    assert any("has been at work" in problem for problem in undisturbed(users, "planted").problems)


def test_readiness_that_went_with_a_node_and_is_still_told_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a Deployment whose pods are all lost nothing is heard until it has one again."""
    take = Reflector._take
    users = Workload((Step(0.0, "c0", Cluster()),), {})
    ill = Chaos((Hit(10.0, "node lost", 1, 3.0, 1),))

    def problems() -> list[str]:
        return run._Run(users, ill, random.Random(SLOW), Trace()).carried_out()

    def hopeful(reflector: Reflector, event: WatchEvent) -> None:
        status = event.object.get("status") or {}
        if event.object["kind"] != "Deployment" or status.get("readyReplicas") or event.type != "MODIFIED":
            take(reflector, event)

    assert problems() == []
    monkeypatch.setattr(Reflector, "_take", hopeful)
    assert any("c0 is told to have 1 ready pods in group extract, which had [0]" in each for each in problems())


def test_a_submitter_that_does_not_search_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A submitter that was killed as it had submitted is followed by one that takes nothing to be with Marie."""
    users = Workload(
        (Step(0.0, "c0", Cluster()), Step(8.0, "j1", Job("c0", "s3://bucket/documents/a.pdf", by_pod=True))),
        dict.fromkeys(KEYS, 20.0),
    )

    def problems(message: int) -> list[str]:
        ill = Chaos((Hit(5.0, "crash on message", 1, 0.0, message), Hit(20.0, "compaction", 0, 0.0, 1)))
        return run._Run(users, ill, random.Random(1), Trace()).carried_out()

    assert not any(map(problems, MESSAGES))
    monkeypatch.setattr(submitter, "Ticket", partial(Ticket, fresh=True))
    assert any("submitted twice" in found for found in chain.from_iterable(map(problems, MESSAGES)))


def test_a_stale_read_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision is made on a copy that lacks the last write, and its outcome written over what is there by now."""

    async def blind(client: StatusWriter, resource: Resource, live: Object, status: Mapping[str, Any]) -> bool:
        changes = merge_patch(live.get("status") or {}, status)
        if changes:
            body = {"status": changes}
            await client.patch(resource, ObjectKey.of(live), body, kind=PatchKind.MERGE, subresource="status")
        return bool(changes)

    monkeypatch.setattr(Informer, "written", lambda *_: None)
    monkeypatch.setattr(reconciler, "write_status", blind)
    assert falls() == told("a stale read")
