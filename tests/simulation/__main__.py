"""Runs seeds of the simulation: one with its trace, or many on every core."""

import argparse
import contextlib
import gc
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context

from tests.simulation.run import SHARED, Outcome, prepare, simulate, without_faults

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
    prepare()
    # What servers find out about definitions, once and for all, processes are to begin with.
    without_faults(0)
    gc.collect()
    gc.freeze()
    tally = _Tally(seeds)
    # A process ends after a few seeds, and all that they left behind with it: nobody looks for garbage.
    with get_context("fork").Pool(jobs, maxtasksperchild=1) as pool, contextlib.suppress(KeyboardInterrupt):
        for outcomes in pool.imap(_several, _chunks(seeds)):
            tally.take(outcomes)
    tally.conclude()
    return 1 if tally.failed or tally.left else 0


class _Tally:
    """Counts outcomes, which come in the order of their seeds, and tells how far it is.

    Args:
        seeds: All that are run.

    Attributes:
        failed: Those that found something.
    """

    def __init__(self, seeds: range) -> None:
        self.failed: list[int] = []
        self._seeds = seeds
        self._count, self._virtual, self._writes, self._spent = 0, 0.0, 0, 0.0
        self._began = self._told = time.monotonic()

    @property
    def left(self) -> int:
        """How many have not been run."""
        return len(self._seeds) - self._count

    def take(self, outcomes: list[Outcome]) -> None:
        """Some more have been run."""
        for outcome in outcomes:
            self._count += 1
            self._virtual += outcome.seconds
            self._writes += outcome.writes
            self._spent += outcome.spent
            if outcome.problems:
                self.failed.append(outcome.seed)
                print(f"seed {outcome.seed}: replay with make simulate SEED={outcome.seed}")
                for problem in outcome.problems[:5]:
                    print(f"  {problem}", flush=True)
        if time.monotonic() - self._told > PROGRESS:
            self._told = time.monotonic()
            pace = self._count / (self._told - self._began)
            print(
                f"{self._count} of {len(self._seeds)} seeds, {len(self.failed)} failed;"
                f" {pace:.1f} a second, {_duration(self.left / pace)} to go",
                flush=True,
            )

    def conclude(self) -> None:
        """Tell what came of all, and how to go on where it was broken off."""
        print(
            f"{self._count} seeds from {self._seeds.start}: {len(self.failed)} failed;"
            f" {self._virtual / 3600:.0f} h of virtual time and {self._writes} writes"
            f" in {_duration(time.monotonic() - self._began)},"
            f" {self._spent / max(1, self._count):.2f} s of processor time each"
        )
        if self.left:
            print(f"broken off; go on with: make simulate FIRST={self._seeds.start + self._count} SEEDS={self.left}")
        for seed in self.failed:
            print(f"replay with: make simulate SEED={seed}")


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"


def _chunks(seeds: range) -> Iterator[range]:
    """Seeds that share a workload together, so that its run without faults is made once."""
    start = seeds.start
    while start < seeds.stop:
        stop = min(seeds.stop, (start // SHARED + 1) * SHARED)
        yield range(start, stop)
        start = stop


def _several(seeds: range) -> list[Outcome]:
    gc.disable()
    return [simulate(seed) for seed in seeds]


if __name__ == "__main__":
    sys.exit(main())
