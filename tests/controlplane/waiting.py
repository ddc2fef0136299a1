"""Waiting for what servers do by themselves."""

import asyncio
from collections.abc import Awaitable, Callable

from marie_operator.testing.api import ApiStatus

PATIENCE = 240.0
"""Seconds after which what is waited for will not come: far more than a machine takes that is busy otherwise."""


async def until(what: str, holds: Callable[[], Awaitable[bool]], *, timeout: float = PATIENCE) -> None:
    """Ask until the answer is yes; a server that is away for a moment, or refuses, has not answered."""
    refusal: Exception | None = None
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    if await holds():
                        return
                    refusal = None
                except (ApiStatus, OSError) as error:
                    refusal = error
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {timeout:g} s: {what}") from refusal
