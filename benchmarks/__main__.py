"""Runs every benchmark: ``make bench``, or ``python -m benchmarks --clusters 100``."""

import argparse
import asyncio
import platform
from pathlib import Path

from benchmarks import convergence, decisions, embedded


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--clusters", type=int, default=100, help="clusters that are created at once")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}\n")
    for line in decisions.run():
        print(line)
    for line in asyncio.run(embedded.run()):
        print(line)
    for line in asyncio.run(convergence.run(Path(__file__).parents[1], arguments.clusters)):
        print(line)


if __name__ == "__main__":
    main()
