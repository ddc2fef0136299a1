"""Settings for tests that mix plain and asynchronous functions."""

import asyncio


def pytest_configure() -> None:
    """Have no event loop outside of asynchronous tests.

    Otherwise pytest-asyncio asks asyncio for the current one, which makes one that nobody closes.
    """
    asyncio.set_event_loop(None)
