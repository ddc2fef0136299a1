"""Something between the operator and the API server refuses."""

import pytest

from marie_operator.testing.proxy import HttpProxy, Refusal
from tests.controlplane.faults.bounds import SLACK, after_outage
from tests.controlplane.faults.trial import Trial

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

REFUSED = 25
"""Requests that are refused in a row: each of two clusters is tried several times over."""


async def test_a_server_that_refuses_for_a_while(trial: Trial, gateway: HttpProxy) -> None:
    async with trial.running(trial.through(gateway.port, authority=gateway.certificate)):
        await trial.started()
        for status, retry_after in ((429, 1), (429, None), (503, 1), (500, None)):
            refusal = Refusal(status, retry_after=retry_after, times=REFUSED)
            gateway.rules = [refusal]
            await trial.clusters()
            await trial.told(trial.metrics, f'rest_client_requests_total{{code="{status}"', within=SLACK)
            if retry_after is None:
                await trial.told(trial.logged, "the API server cannot be used", f"HTTP {status}", within=SLACK)
            await trial.recovered(within=after_outage(REFUSED * (retry_after or 0.0)))
            assert refusal.met == REFUSED
            await trial.clear()
