"""Runs of the simulation: the same seed is the same run, and every seed that ever found something stays clean."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from marie_operator.runtime import Manager
from tests.simulation import chaos, run
from tests.simulation.chaos import Chaos
from tests.simulation.run import simulate
from tests.simulation.trace import Trace
from tests.simulation.workload import Cluster, Step, Workload

FOUND = Path(__file__).with_name("found.txt")
"""Seeds that found a defect, and what it was."""


def found() -> list[int]:
    lines = FOUND.read_text(encoding="utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def test_a_seed_is_one_run() -> None:
    lines: list[str] = []
    first, second = simulate(3), simulate(3, lines.append)
    assert first == second
    assert lines
    assert simulate(4).digest != first.digest


def test_a_seed_is_one_run_in_every_process() -> None:
    program = "from tests.simulation.run import simulate; print(*(simulate(each).digest for each in (5, 500, 562)))"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    digests = {process.communicate()[0].splitlines()[-1] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(digests) == 1


@pytest.mark.parametrize("seed", found())
def test_what_a_seed_found_stays_mended(seed: int) -> None:
    assert simulate(seed).problems == ()


@pytest.mark.parametrize(("blow", "found"), [("restart", ["operator-1.1 has left tasks"]), ("crash", [])])
def test_what_an_earlier_life_leaves_behind_is_found(
    blow: chaos.Blow, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that outlives a clean stop; of a process that is killed, none is left that could do anything."""
    manage, left = Manager.run, list[asyncio.Task[None]]()

    async def leaving(manager: Manager, stop: asyncio.Event) -> None:
        try:
            await manage(manager, stop)
        finally:
            if not left:
                left.append(asyncio.create_task(asyncio.sleep(5)))

    monkeypatch.setattr(Manager, "run", leaving)
    users = Workload((Step(0.0, "c0", Cluster()),), {})
    ill = Chaos((chaos.Hit(10.0, blow, 0, 1.0, 1),))
    problems = run._Run(users, ill, random.Random(1), Trace(), terms=(15.0, 10.0, 3.0)).carried_out()
    assert [each.split(":")[0] for each in problems] == found
    assert left[0].cancelled()
