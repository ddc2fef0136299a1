"""Random programs on both servers: after each step, both have said the same."""

import asyncio
import itertools
import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings

from tests.conformance.conftest import PROGRAMS, STEPS
from tests.conformance.pair import Side, differences
from tests.conformance.programs import Program, programs
from tests.conformance.wire import Client

_ASKED = os.environ.get("CONFORMANCE_PROGRAMS")
"""How many to try, of which no two runs try the same; without it, always the same few are tried."""
_SETTINGS = settings(
    max_examples=int(_ASKED or 150),
    derandomize=_ASKED is None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
_numbers = itertools.count(1)


async def run(program: Program, clients: list[Client]) -> list[str]:
    """Where the servers begin to differ; nothing when they do not."""
    namespace = f"program-{next(_numbers)}"
    sides = [Side(client, namespace) for client in clients]
    await asyncio.gather(*(side.open() for side in sides))
    for number, step in enumerate(program):
        real, embedded = await asyncio.gather(*(side.do(step) for side in sides))
        if found := differences(embedded, real):
            return [f"step {number}: {step}", *found]
    plural = program[0].plural
    real, embedded = await asyncio.gather(*(side.end(plural) for side in sides))
    return differences(embedded, real, "end")


@pytest.mark.timeout(900)
@_SETTINGS
@given(programs())
async def test_both_do_the_same(both: list[Client], tally: Callable[[str, int], None], program: Program) -> None:
    assert await run(program, both) == []
    tally(PROGRAMS, 1)
    tally(STEPS, len(program))
