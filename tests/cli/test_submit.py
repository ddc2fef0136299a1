"""The submitter as a process, against a simulated gateway over HTTP."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from marie_operator.marie.client import Submission
from marie_operator.marie.errand import Errand, ErrandError
from marie_operator.marie.submitter import WINDOW, Submitter
from marie_operator.testing import virtual
from marie_operator.testing.gateway import Fault, Outcomes, SimulatedGateways, SimulatedMarie
from marie_operator.testing.gateway.outcome import NEVER, Outcome
from marie_operator.testing.processes import killed_with_parent
from marie_operator.testing.virtual import Process
from tests.simulation.network import Network
from tests.simulation.trace import Trace
from tests.simulation.wires import GatewayWire, Port
from tests.simulation.world import VirtualClock

KEY = "mas_test"
ASKED = Submission(
    uri="s3://bucket/a b.pdf", queue="extract", planner="extract", ref_type="extract", options={"x": "1"}
)


@asynccontextmanager
async def serving(outcome: Outcome) -> AsyncIterator[tuple[SimulatedMarie, str]]:
    gateways = SimulatedGateways(outcome=Outcomes(default=outcome))
    async with gateways.serve() as url:
        marie = gateways.cluster("docs", "c")
        marie.api_keys = {KEY}
        marie.start()
        marie.register("extract_executor", "10.0.0.1:52010", 4)
        yield marie, f"{url}/docs/c"


async def started(url: str, *, key: str = KEY) -> asyncio.subprocess.Process:
    told = Errand(url, "j-1-a.pdf", ASKED).environment()
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "marie_operator",
        "submit",
        env={**os.environ, **told, "MARIE_API_KEY": key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=killed_with_parent(),
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, list[str], str]:
    out, error = await process.communicate()
    return process.returncode, out.decode().splitlines(), error.decode()


@pytest.mark.embedded
async def test_it_submits_once_however_often_it_runs_and_ends_as_the_document_does() -> None:
    async with serving(Outcome(seconds=0.2)) as (marie, url):
        code, lines, error = await ended(await started(url))
        assert (code, error) == (0, "")
        assert lines[0] == f"s3://bucket/a b.pdf goes to {url} as j-1-a.pdf."
        assert lines[-1].endswith(" has completed.")
        again, lines, _ = await ended(await started(url))
        assert (again, lines[-1].endswith(" has completed.")) == (0, True)
        assert [(dag.ref_id, dag.uri) for dag in marie.dags] == [("j-1-a.pdf", "s3://bucket/a b.pdf")]


@pytest.mark.embedded
async def test_one_that_is_told_to_end_does_so_at_once_and_leaves_the_document_where_it_is() -> None:
    async with serving(Outcome(seconds=600)) as (marie, url):
        process = await started(url)
        assert process.stdout is not None
        async for line in process.stdout:
            if b"Marie has the document" in line:
                break
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        assert (process.returncode, len(marie.dags)) == (143, 1)


async def in_virtual_time(
    outcome: Outcome, *, key: str = KEY, serves: bool = True, faults: Sequence[Fault] = ()
) -> tuple[int, str, list[str]]:
    """How it ends, and when, and what it says, on a network without faults."""
    gateways, lines = SimulatedGateways(outcome=Outcomes(default=outcome)), list[str]()
    marie = gateways.cluster("docs", "c")
    marie.api_keys, marie.faults = {KEY}, list(faults)
    if serves:
        marie.start()
    marie.register("extract_executor", "10.0.0.1:52010", 4)
    port = Port(Network(random.Random(1)), Process(), "submitter", Trace(), lambda *_: None)
    submitter = Submitter(
        Errand("docs/c", "j-1-a.pdf", ASKED),
        key,
        transport=GatewayWire(gateways, port),
        clock=VirtualClock(),
        tell=lines.append,
    )
    code, last = await submitter.run()
    assert lines[-1] == last
    return code, last, lines


def test_a_document_that_fails_ends_it_with_the_reason() -> None:
    code, last, lines = virtual.run(lambda: in_virtual_time(Outcome(failures=NEVER)))
    assert code == 1
    assert "failed in Marie" in last
    assert any(line.startswith("Marie has the document as DAG ") for line in lines)


def test_what_somebody_before_marie_says_is_told_as_it_is() -> None:
    fault = Fault("/api/v1/invoke", status=503, body='{"detail": "no upstream for {pod} of {0}"}')
    code, _, lines = virtual.run(lambda: in_virtual_time(Outcome(), faults=[fault]))
    assert code == 0
    assert any("no upstream for {pod} of {0}" in line for line in lines)


def test_a_key_that_is_refused_ends_it_with_a_sentence() -> None:
    code, last, _ = virtual.run(lambda: in_virtual_time(Outcome(), key="mas_wrong"))
    assert code == 1
    assert last.startswith("The gateway does not accept the API key: ")


def test_one_that_cannot_submit_for_minutes_leaves_it_to_the_next() -> None:
    async def late() -> float:
        code, last, lines = await in_virtual_time(Outcome(), serves=False)
        assert (code, last) == (1, "Marie could not be given the document within 240 s; the next pod goes on.")
        assert any("cannot be reached" in line for line in lines)
        return asyncio.get_running_loop().time()

    assert WINDOW <= virtual.run(late) < WINDOW + 1


@pytest.mark.embedded
async def test_without_an_errand_it_says_what_is_missing() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "marie_operator",
        "submit",
        env={"PATH": os.environ["PATH"], "MARIE_API_KEY": KEY},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    code, _, error = await ended(process)
    assert code == 2
    assert error.startswith("error: MARIE_SERVER_URL, MARIE_REF_ID, ")


def test_what_is_told_is_read_back() -> None:
    errand = Errand("http://gateway:51000", "ref", ASKED)
    assert Errand.read({**errand.environment(), "MARIE_API_KEY": KEY}) == (errand, KEY)


def test_an_environment_that_cannot_be_read_is_refused_with_a_sentence() -> None:
    told = {**Errand("http://g", "ref", ASKED).environment(), "MARIE_API_KEY": KEY, "MARIE_OPTIONS": "{"}
    with pytest.raises(ErrandError, match="MARIE_OPTIONS, MARIE_SOFT_SLA or MARIE_HARD_SLA cannot be read"):
        Errand.read(told)
