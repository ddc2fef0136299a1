"""Settings of every test."""

import asyncio
import gc
import os
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

# Machines are noisy, and a failure must be the same one tomorrow: no deadlines, and no chance where nobody looks on.
settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


# Tracebacks as Python has them: those of Rich, the default where it is installed, take a tenth of a second each.
_PLAIN = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _PLAIN])

HERE = Path(__file__).parent
EMBEDDED = (HERE / "simulation", HERE / "testing" / "apiserver")
"""What is tested here needs the embedded API server, or is it; the Makefile has these folders as well."""


def pytest_configure() -> None:
    """Have no event loop outside of asynchronous tests.

    Otherwise pytest-asyncio asks asyncio for the current one, which makes one that nobody closes.
    """
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("controlplane") is None and any(each in item.path.parents for each in EMBEDDED):
            item.add_marker(pytest.mark.embedded)


def pytest_collection_finish() -> None:
    """Let the garbage collector look no more at what stays to the end: thousands of tests and what they are made of."""
    gc.freeze()
