"""kubectl against a test's API server."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


PATIENCE = 120.0
"""Seconds after which what is waited for will not come."""


class RefusedError(Exception):
    """What kubectl wrote when it failed."""


def until(true: Callable[[], bool]) -> None:
    """Ask until it is true: an API server goes by what it has accepted a moment later."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@dataclass(frozen=True)
class Kubectl:
    binary: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: Any = None) -> str:
        """Run it, with an object on standard input if one is given, and return what it writes."""
        done = subprocess.run(
            [self.binary, f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.kubeconfig}.cache", *arguments],
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RefusedError(done.stderr)
        return done.stdout

    def succeeds(self, *arguments: str, stdin: Any = None) -> bool:
        """Run it; whether it ends well."""
        try:
            self(*arguments, stdin=stdin)
        except RefusedError:
            return False
        return True

    def object(self, *arguments: str, stdin: Any = None) -> dict[str, Any]:
        """Run it with ``-o json``."""
        decoded: dict[str, Any] = json.loads(self(*arguments, "-o", "json", stdin=stdin))
        return decoded
