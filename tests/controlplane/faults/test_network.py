"""What is between the operator and the API server refuses, swallows, breaks off and is slow."""

import pytest

from marie_operator.testing.proxy import HttpProxy, Refusal, TcpProxy, Way
from tests.controlplane.faults.bounds import HASTY, SLACK, after_outage, after_silence
from tests.controlplane.faults.trial import HASTY as HASTY_PROGRAM
from tests.controlplane.faults.trial import Trial

pytestmark = pytest.mark.real

REFUSED = 25
"""Requests that are refused in a row: each of two clusters is tried several times over."""
MIDDLE = 6_000
"""Bytes of a connection from the server: the handshake of TLS is through, and an answer has begun."""
BROKEN = 12
"""Connections that are broken off one after another: those of the watches, and of the writes of several clusters."""


async def test_a_server_that_refuses_for_a_while(trial: Trial, gateway: HttpProxy) -> None:
    async with trial.running(trial.through(gateway.port, authority=gateway.certificate)):
        await trial.started()
        for status, retry_after in ((429, 1), (429, None), (503, 1), (500, None)):
            refusal, log = Refusal(status, retry_after=retry_after, times=REFUSED), trial.log_from_now()
            gateway.rules = [refusal]
            await trial.clusters()
            await trial.told(trial.metrics, f'rest_client_requests_total{{code="{status}"', within=SLACK)
            if retry_after is None:
                await trial.told(log, "the API server cannot be used", f"HTTP {status}", within=SLACK)
            await trial.recovered(within=after_outage(REFUSED * (retry_after or 0.0)))
            assert refusal.met == REFUSED
            await trial.clear()


async def test_connections_that_are_half_open(trial: Trial, line: TcpProxy) -> None:
    async with trial.running(trial.through(line.port), program=HASTY_PROGRAM):
        await trial.started()
        await trial.clusters(last=2)
        await trial.until("the first child is there", lambda: trial.items("services"))
        # As if a box on the way had been restarted: nobody is told that its connections are of no use any more.
        log = trial.log_from_now()
        line.forget()
        await trial.clusters(first=2)
        await trial.told(log, "a silent watch begins anew", within=after_silence(HASTY))
        await trial.recovered(within=after_silence(HASTY))


async def test_answers_that_are_swallowed(trial: Trial, line: TcpProxy) -> None:
    async with trial.running(trial.through(line.port), program=HASTY_PROGRAM):
        await trial.started()
        await trial.clusters(last=2)
        await trial.until("the first child is there", lambda: trial.items("services"))
        # What the operator writes arrives, and it does not learn of it.
        log = trial.log_from_now()
        line.frozen = Way.DOWN
        await trial.clusters(first=2)
        await trial.told(log, "a silent watch begins anew", within=after_silence(HASTY))
        line.frozen = Way(0)
        await trial.recovered(within=after_silence(HASTY))


async def test_connections_that_are_reset_in_the_middle_of_an_answer(trial: Trial, line: TcpProxy) -> None:
    async with trial.running(trial.through(line.port)):
        await trial.started()
        await trial.clusters(last=2)
        await trial.until("the first child is there", lambda: trial.items("services"))
        line.reset_after(MIDDLE, times=BROKEN)
        line.cut()
        await trial.clusters(first=2)
        await trial.told(trial.metrics, "rest_client_requests_total", "<error>", within=after_outage(0))
        await trial.recovered(within=after_outage(0))


async def test_answers_that_trickle(trial: Trial, line: TcpProxy) -> None:
    async with trial.running(trial.through(line.port)):
        await trial.started()
        line.piece, line.pause = 512, 0.02
        await trial.clusters()
        await trial.recovered(within=after_outage(0))
        assert await trial.ready()
