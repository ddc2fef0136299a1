"""Servers as child processes that never outlive their parent."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_TIMEOUT = 10.0
_PR_SET_PDEATHSIG = 1


class ProcessError(Exception):
    """A server did not start, or ended; the message holds the end of its log."""


class Process:
    """One server.

    Args:
        name: For messages and for its log's file name.
        command: Program and arguments.
        directory: Where its log goes.
        environment: Variables besides the parent's own.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, directory: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            ProcessError: it does not run.
        """
        if self._process is None:
            raise ProcessError(f"{self.name} was not started")
        return self._process.pid

    async def start(self) -> None:
        """Start it; it is killed when this process dies, however that happens."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                # Ctrl-C goes to the parent, which ends its children in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    async def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End it, by force when it does not end by itself."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(sig)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        if self._process is None:
            raise ProcessError(f"{self.name} was not started")
        return await self._process.wait()

    def failure(self, why: str) -> ProcessError:
        """An error with the end of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-15:] if self.log.exists() else []
        return ProcessError("\n".join([f"{self.name} {why}; the end of {self.log}:", *lines]))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
