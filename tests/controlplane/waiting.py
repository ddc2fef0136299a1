"""Waiting for what servers do by themselves."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from marie_operator.testing.api import ApiStatus

PATIENCE = 240.0
"""Seconds after which what is waited for will not come: far more than a machine takes that is busy otherwise."""


async def until(what: str, holds: Callable[[], Awaitable[bool]], *, timeout: float = PATIENCE) -> None:
    """Ask until the answer is yes; a server that is away for a moment has not answered."""
    try:
        async with asyncio.timeout(timeout):
            while True:
                with contextlib.suppress(ApiStatus, OSError):
                    if await holds():
                        return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {timeout:g} s: {what}") from None
