"""Settings of every test."""

import asyncio
import os

import structlog
from hypothesis import settings

# Machines are noisy, and a failure must be the same one tomorrow: no deadlines, and no chance where nobody looks on.
settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


# Tracebacks as Python has them: those of Rich, the default where it is installed, take a tenth of a second each.
_PLAIN = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _PLAIN])


def pytest_configure() -> None:
    """Have no event loop outside of asynchronous tests.

    Otherwise pytest-asyncio asks asyncio for the current one, which makes one that nobody closes.
    """
    asyncio.set_event_loop(None)
