"""Runs of the simulation: the same seed is the same run, and every seed that ever found something stays clean."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.run import simulate

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
