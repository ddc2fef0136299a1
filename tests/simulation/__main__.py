"""Runs seeds of the simulation: one with its trace, or many on every core."""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.simulation.run import SHARED, Outcome, simulate

PROGRESS = 20.0
"""Seconds between two lines that tell how far it is."""


def main() -> int:
    """Run what the command line asks for; 1 when anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this seed alone, and show all that happens")
    parser.add_argument("--seeds", type=int, default=100_000, help="how many seeds to run (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one for each core)")
    asked = parser.parse_args()
    if asked.seed is not None:
        return _replay(asked.seed)
    return _run(range(asked.first, asked.first + asked.seeds), asked.jobs)


def _replay(seed: int) -> int:
    outcome = simulate(seed, print)
    print(f"seed {seed}: {outcome.seconds:.0f} s of virtual time, {outcome.writes} writes, digest {outcome.digest}")
    for problem in outcome.problems:
        print(f"VIOLATION {problem}")
    return 1 if outcome.problems else 0


def _run(seeds: range, jobs: int) -> int:
    began = told = time.monotonic()
    count, failed, virtual, writes = 0, 0, 0.0, 0
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        for outcome in _flat(pool.map(_several, _chunks(seeds))):
            count, virtual, writes = count + 1, virtual + outcome.seconds, writes + outcome.writes
            if outcome.problems:
                failed += 1
                print(f"seed {outcome.seed}: replay with make simulate SEED={outcome.seed}")
                for problem in outcome.problems[:5]:
                    print(f"  {problem}", flush=True)
            if time.monotonic() - told > PROGRESS:
                told = time.monotonic()
                print(f"{count} of {len(seeds)} seeds, {failed} failed, {told - began:.0f} s", flush=True)
    print(
        f"{count} seeds from {seeds.start}: {failed} failed; {virtual / 3600:.0f} h of virtual time and {writes} writes"
        f" in {time.monotonic() - began:.0f} s"
    )
    return 1 if failed else 0


def _chunks(seeds: range) -> Iterator[range]:
    """Seeds that share a workload together, so that its run without faults is made once."""
    start = seeds.start
    while start < seeds.stop:
        stop = min(seeds.stop, (start // SHARED + 1) * SHARED)
        yield range(start, stop)
        start = stop


def _several(seeds: range) -> list[Outcome]:
    return [simulate(seed) for seed in seeds]


def _flat(found: Iterable[list[Outcome]]) -> Iterator[Outcome]:
    for outcomes in found:
        yield from outcomes


if __name__ == "__main__":
    sys.exit(main())
