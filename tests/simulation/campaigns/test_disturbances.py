"""Each scenario with a crash after every write, with a restart into the past at every point, and with steps unseen."""

import functools
import zlib
from collections.abc import Iterator

import pytest

from tests.simulation.campaigns import facts
from tests.simulation.campaigns.disturbances import CALM, Disturbance, End, tell
from tests.simulation.campaigns.scenarios import SCENARIOS
from tests.simulation.campaigns.stage import run


def told(name: str, disturbance: Disturbance) -> End:
    scenario = SCENARIOS[name]
    return run(lambda stage: tell(stage, scenario, disturbance), outcomes=scenario.outcomes)


@functools.cache
def calm(name: str) -> End:
    return told(name, CALM)


def crashes(name: str) -> Iterator[Disturbance]:
    for number in range(1, len(calm(name).writes) + 1):
        yield Disturbance(crash=number)


def restarts(name: str) -> Iterator[Disturbance]:
    for number in range(1, len(calm(name).writes) + 1):
        yield Disturbance(crash=number, behind=1 + number % 4)


def blackouts(name: str) -> Iterator[Disturbance]:
    for number in range(max(1, len(SCENARIOS[name].steps) - 1)):
        yield Disturbance(unseen=number)


def violations(name: str, disturbances: list[Disturbance]) -> list[str]:
    return [
        f"{disturbance}: {difference}"
        for disturbance in disturbances
        for difference in told(name, disturbance).differences(calm(name))
        if not facts.lost(name, disturbance, difference)
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_undisturbed_every_document_is_with_marie_once(name: str) -> None:
    end = calm(name)
    assert {cluster: len(documents) for cluster, documents in end.documents.items()} == SCENARIOS[name].documents
    assert end.repeated == []
    assert end.complaints == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_one_crash_one_restart_into_the_past_or_one_blackout(name: str) -> None:
    every = [*crashes(name), *restarts(name), *blackouts(name)]
    assert violations(name, [every[zlib.crc32(name.encode()) % len(every)]]) == []


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_after_every_write(name: str) -> None:
    assert violations(name, list(crashes(name))) == []


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_restart_into_the_past_after_every_write(name: str) -> None:
    assert violations(name, list(restarts(name))) == []


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SCENARIOS)
def test_steps_that_are_never_seen(name: str) -> None:
    assert violations(name, list(blackouts(name))) == []
