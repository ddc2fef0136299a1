"""The simulated gateway answers every recorded request as the real one did."""

import asyncio
import fnmatch
import json
from collections.abc import Callable, Mapping

import pytest

from marie_operator.testing.gateway import (
    EXTRACT,
    Dag,
    Planner,
    Request,
    SimulatedMarie,
    Step,
    application,
    serving,
)
from tests.testing.recording import ID, KEY, RECORDINGS, Exchange, essence, recorded, shape
from tests.testing.wire_executor import wire_executor

MOCK_SIMPLE = Planner("mock_simple", (Step("Process document", "mock_executor_a://document/process"),))


class Stage:
    """A gateway whose clock the test moves, started half a minute ago."""

    def __init__(self) -> None:
        self.now = 0.0
        self.dag: Dag | None = None
        self.marie = SimulatedMarie(planners=(EXTRACT, MOCK_SIMPLE), outcome=wire_executor, clock=lambda: self.now)
        self.marie.api_keys = {KEY}
        self.marie.start()
        self.wait(30)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def executors(self, *ports: int, executor: str = "extract_executor") -> None:
        for port in ports:
            self.marie.register(executor, f"127.0.0.1:{port}")
        self.wait(1)

    def submit(self, *names: str) -> None:
        for name in names:
            request = Request(
                "POST", "/api/v1/invoke", authorization=f"Bearer {KEY}", body=recorded(name).body.encode()
            )
            assert self.marie.answer(request).status == 200
            self.wait(0.1)

    def resubmit(self, ref_id: str) -> None:
        """A recorded submission for another document."""
        body = recorded("3-01-submit.http").body.replace("one__t=4", ref_id)
        request = Request("POST", "/api/v1/invoke", authorization=f"Bearer {KEY}", body=body.encode())
        self.marie.answer(request)
        self.wait(0.1)


# The recorded situations.

GOOD_OF_2 = (
    "2-20-hard-without-soft.http",
    "2-29-naive-sla.http",
    "2-32-allow-all-first.http",
    "2-33-allow-all-dup.http",
    "2-37-allow-duplicate.http",
    "2-41-known-planner-new-queue.http",
    "2-42-no-planner-queue-extract.http",
    "2-43-bogus-on.http",
)
BAD_OF_2 = ("2-30-default-policy-first.http", "2-39-unknown-planner.http", "2-40-no-planner-unknown-queue.http")


def nobody(_: Stage) -> None:
    pass


def one_executor(stage: Stage) -> None:
    stage.executors(59081)


def two_executors(stage: Stage) -> None:
    stage.executors(64969, 53021)


def eight_queued(stage: Stage) -> None:
    stage.submit(*GOOD_OF_2, *BAD_OF_2)
    stage.wait(1)


def eight_done(stage: Stage) -> None:
    eight_queued(stage)
    stage.executors(59081)
    stage.wait(30)


def one_runs_six_wait(stage: Stage) -> None:
    eight_done(stage)
    stage.submit("3-01-submit.http")
    stage.wait(10)
    stage.submit(*(f"4b-0{number}-submit.http" for number in range(1, 8)))
    stage.wait(3)


def killed_without_return(stage: Stage) -> None:
    one_executor(stage)
    stage.submit("3-04-submit-kill-no-return.http")
    stage.wait(5)
    stage.marie.unregister("extract_executor", "127.0.0.1:59081", crash=True)
    stage.wait(80)


def two_failed(stage: Stage) -> None:
    killed_without_return(stage)
    stage.wait(60)
    stage.executors(64969)
    stage.submit("3-05-submit-failing.http")
    stage.wait(15)
    (stage.dag,) = stage.marie.by_ref_id("five__fail=1")


def many_done(stage: Stage) -> None:
    eight_done(stage)
    stage.submit("3-01-submit.http")
    stage.wait(10)


def long_one_done(stage: Stage) -> None:
    one_executor(stage)
    stage.resubmit("k1__t=12")
    stage.wait(20)
    (stage.dag,) = stage.marie.dags


def kind_missing(stage: Stage) -> None:
    eight_done(stage)
    stage.submit("4d-submit-mock-simple.http", "4d-submit-failing-medium.http")
    stage.resubmit("q1__t=5")
    stage.resubmit("q2__t=5")
    stage.wait(2)


def database_down(stage: Stage) -> None:
    one_executor(stage)
    stage.resubmit("q1__t=5")
    stage.resubmit("q2__t=5")
    stage.wait(2)
    stage.marie.engine.database = False


def database_back(stage: Stage) -> None:
    database_down(stage)
    stage.marie.engine.database = True


def two_active(stage: Stage) -> None:
    two_executors(stage)
    stage.submit("3-07-submit-a.http", "3-07-submit-b.http")
    stage.wait(2)


SITUATIONS: Mapping[str, Callable[[Stage], None]] = {
    "1a-*": nobody,
    "1b-*": eight_done,
    "1c-*": two_executors,
    "2-*": nobody,
    "3-02-*": nobody,
    "3-04-capacity*": killed_without_return,
    "3-05-jobs-completed*": many_done,
    "3-05-jobs*": two_failed,
    "3-08-*": long_one_done,
    "3-*": one_executor,
    "4a-*": eight_queued,
    "4b-0*": one_executor,
    "4b-1*": one_runs_six_wait,
    "4c-*": one_executor,
    "4d-submit*": one_executor,
    "4d-*": kind_missing,
    "7-0[1-5]*": database_down,
    "7-06*": database_back,
    "8-02*": two_active,
    "8-*": nobody,
}
"""By the recordings' names; the first that matches."""

NOT_WHOLE = "*-[12][09]-[op][pl]*.http"
"""Planners and OpenAPI, of which there is less on purpose."""

SHAPED = {
    "*-status.http": "environment and platform",
    "3-05-jobs-completed.http": "how many",
    "4d-debug*": "what else was queued",
    "7-03-pgdown-debug.http": "what else was queued",
}
"""Recordings of which only the shape is compared, and why."""


PLACES = {"fd": 0, "fe": 1, "c2": 0, "c3": 1, "c4": 2, "c5": 3}
"""Which node a recorded id is, by its last two digits."""

COMPARED = ("server", "content-type", "connection", "allow")


async def exchange(url: str, request: str, body: str) -> Exchange:
    """Send a request letter by letter."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{request}\n\n".replace("\n", "\r\n").encode() + body.encode())
    await writer.drain()
    text = (await reader.read()).decode().replace("\r\n", "\n")
    writer.close()
    await writer.wait_closed()
    return Exchange.parse(f"=== RESPONSE ===\n{text}")


def ours_of(request: str, stage: Stage) -> str:
    """A recorded request, with the id of our DAG where the recording has its own."""
    found = ID.findall(request)
    if stage.dag is None or not found:
        return request
    names = [node.id for node in stage.dag.nodes]
    last = names[-1]
    names.append(f"{last[:-12]}{int(last[-12:], 16) + 1:012x}")
    place = PLACES[found[0][-2:]]
    return ID.sub(names[place], request)


@pytest.mark.parametrize(
    "name",
    sorted({path.name for path in RECORDINGS.glob("*.http")} - {path.name for path in RECORDINGS.glob(NOT_WHOLE)}),
)
async def test_recorded_request_gets_the_recorded_reply(name: str) -> None:
    original = recorded(name)
    stage = Stage()
    next(situation for pattern, situation in SITUATIONS.items() if fnmatch.fnmatch(name, pattern))(stage)
    async with serving(application(lambda _: stage.marie)) as url:
        ours = await exchange(url, ours_of(original.request, stage), original.body)
    assert ours.status == original.status
    assert ours.headers.keys() == original.headers.keys()
    assert [ours.headers.get(name) for name in COMPARED] == [original.headers.get(name) for name in COMPARED]
    if any(fnmatch.fnmatch(name, pattern) for pattern in SHAPED):
        assert shape(ours.reply) == shape(original.reply)
    else:
        assert essence(ours.reply) == essence(original.reply)


async def test_planner_is_listed_with_its_plan() -> None:
    original = next(p for p in recorded("1a-noexec-19-planners.http").reply["planners"] if p["name"] == "extract")
    reply = json.loads(Stage().marie.answer(Request("GET", "/api/planners")).body)
    assert reply["total"] == len(reply["planners"]) == 2
    assert essence({**reply["planners"][0], "description": ""}) == essence({**original, "description": ""})


async def test_api_description_has_the_recorded_version_and_paths() -> None:
    original = recorded("1a-noexec-20-openapi.http").reply
    reply = json.loads(Stage().marie.answer(Request("GET", "/openapi.json")).body)
    assert reply["info"]["version"] == original["info"]["version"]
    assert reply.keys() == original.keys()
    for path, methods in reply["paths"].items():
        assert set(methods) <= set(original["paths"][path])
