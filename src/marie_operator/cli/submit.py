"""Runs the submitter: one document, as its environment says."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import aiohttp

from marie_operator.marie.errand import Errand, ErrandError
from marie_operator.marie.submitter import Submitter
from marie_operator.marie.transport import HttpTransport
from marie_operator.runtime.clock import SystemClock

LAST_WORDS = Path("/dev/termination-log")
"""Where Kubernetes looks for what a container has to say of its end; only in containers."""

USAGE, TERMINATED = 2, 143
"""Exit codes: the environment says no errand, and SIGTERM came."""


def main() -> int:
    """Submit and follow; the exit code is that of the document, or says what was wrong."""
    try:
        errand, api_key = Errand.read(os.environ)
    except ErrandError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    code, last = asyncio.run(_run(errand, api_key))
    if LAST_WORDS.exists():
        with contextlib.suppress(OSError):
            LAST_WORDS.write_text(last, encoding="utf-8")
    return code


async def _run(errand: Errand, api_key: str) -> tuple[int, str]:
    """Until the document has ended, or SIGTERM: what was submitted then goes on, and the next process finds it."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        submitter = Submitter(
            errand,
            api_key,
            transport=HttpTransport(session),
            clock=SystemClock(),
            tell=lambda line: print(line, flush=True),
        )
        work = asyncio.ensure_future(submitter.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        try:
            return await work
        except asyncio.CancelledError:
            return TERMINATED, "The pod was told to end; the document goes on where it is."
