"""Measures: ``make bench``, ``make bench ONLY=b1``, or ``python -m benchmarks --only b1 --clusters 500``."""

import argparse
import asyncio
import importlib
import platform
import sys
from pathlib import Path

from benchmarks.rig import Options

MODULES = {
    "b1": "b1_children",
    "b2": "b2_ready",
    "b3": "b3_rest",
    "b5": "b5_failover",
    "b6": "b6_fairness",
    "b7": "b7_pure_work",
    "embedded": "embedded",
}


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help=f"some of {','.join(MODULES)}")
    parser.add_argument("--clusters", type=int, default=100, help="objects that are created at once")
    parser.add_argument("--rounds", type=int, default=1, help="how often each side is measured; the median counts")
    parser.add_argument("--foreign", type=int, default=2000, help="pods of others beside what rests")
    parser.add_argument("--instructions", action="store_true", help="count instructions in b7; takes ten minutes")
    parser.add_argument("--peer", default="", help="command of another operator, with {kubeconfig}")
    parser.add_argument("--crds", type=Path, default=here.parent / "config" / "crd", help="its definitions")
    parser.add_argument("--sample", type=Path, default=here / "cluster.yaml", help="an object of its, with {name}")
    told = parser.parse_args()
    options = Options(
        clusters=told.clusters,
        peer=told.peer,
        crds=told.crds,
        sample=told.sample,
        rounds=told.rounds,
        foreign=told.foreign,
        instructions=told.instructions,
    )
    print(
        f"`python -m benchmarks {' '.join(sys.argv[1:])}`, Python {platform.python_version()}, {platform.machine()}\n"
    )
    print("| figure | value | floor | ratio |\n|---|---|---|---|", flush=True)
    for name in told.only.split(",") if told.only else MODULES:
        for row in asyncio.run(importlib.import_module(f"benchmarks.{MODULES[name]}").run(options)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
