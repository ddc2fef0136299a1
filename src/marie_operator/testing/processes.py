"""Servers as child processes that never outlive their parent."""

import asyncio
import atexit
import contextlib
import ctypes
import functools
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aiohttp

START_TIMEOUT = 120.0
STOP_TIMEOUT = 10.0
# Below the range that Linux and macOS give to outgoing connections: a client that knocks on a stopped server's port
# again and again would otherwise be given that very port some day, and the server could not return.
PORTS = range(15_000, 32_000)

_PR_SET_PDEATHSIG = 1
_claims: list[socket.socket] = []
# Loaded here, since a child between fork and exec must not load anything.
_LIBC = ctypes.CDLL(None)


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
        self._told_to_end = False

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            ProcessError: it was not started.
        """
        if self._process is None:
            raise ProcessError(f"{self.name} was not started")
        return self._process.pid

    async def start(self) -> None:
        """Start it; on Linux it is killed when the thread that starts it ends, however that happens.

        Raises:
            ProcessError: it runs already, or there is no such program.
        """
        if self.running:
            raise ProcessError(f"{self.name} runs already")
        self._told_to_end = False
        with self.log.open("ab") as log:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    # Ctrl-C goes to the parent, which ends its children in order.
                    start_new_session=True,
                    preexec_fn=killed_with_parent(),
                )
            except OSError as error:
                raise ProcessError(f"{self.name} cannot be started: {error}") from error

    async def start_serving(self, url: str) -> None:
        """Start it, and return once something answers over HTTP.

        Args:
            url: Where.

        Raises:
            ProcessError: it ended, or did not answer for two minutes, and was stopped.
        """
        await self.start()
        try:
            async with asyncio.timeout(START_TIMEOUT), aiohttp.ClientSession() as session:
                while not await _answers(session, url):
                    self.check()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            await self.stop()
            raise self.failure(f"did not answer within {START_TIMEOUT:g} s") from None

    async def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End it, by force when it does not end by itself, and whatever it has left running."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._told_to_end = True
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(sig)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        # What it started itself is of its group, which lives on as long as one of them does.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        if self._process is None:
            raise ProcessError(f"{self.name} was not started")
        return await self._process.wait()

    def check(self) -> None:
        """Tell a server that has failed from one that runs, was stopped or was never started.

        Raises:
            ProcessError: it has ended without being told to.
        """
        if self._process is not None and not self.running and not self._told_to_end:
            raise self.failure(f"ended with exit code {self._process.returncode}")

    def failure(self, why: str) -> ProcessError:
        """An error with the end of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-15:] if self.log.exists() else []
        return ProcessError("\n".join([f"{self.name} {why}; the end of {self.log}:", *lines]))


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url):
            return True
    except (aiohttp.ClientError, OSError):
        return False


def killed_with_parent() -> Callable[[], None] | None:
    """A ``preexec_fn`` of a child that is killed when the thread that starts it ends, however that happens.

    None where there is no such thing, which is everywhere but on Linux.
    """
    return functools.partial(_die_with, os.getpid()) if sys.platform == "linux" else None


def _die_with(parent: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It died before it could be watched.
        os._exit(1)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on, and that no other process is given by this function.

    A server starts some time after its port was chosen. Until this process ends, the UDP port of the same number, which
    nothing here uses, is held as the sign that the TCP port is taken: the kernel lets one process have it, and gives it
    back however that process ends.

    Args:
        count: How many.

    Raises:
        ProcessError: there are not that many.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        claim = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe:
            # As servers do, so that a port whose last connections linger counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                claim.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                claim.close()
                continue
        _claims.append(claim)
        found.append(port)
    if len(found) < count:
        raise ProcessError(f"{count} ports were asked for; of {PORTS.start} to {PORTS.stop - 1}, {len(found)} are free")
    return found


@atexit.register
def _give_back() -> None:
    for claim in _claims:
        claim.close()


async def kubectl(program: Path, kubeconfig: Path, directory: Path, *arguments: str, stdin: str = "") -> str:
    """Run kubectl; what it prints.

    Args:
        program: kubectl.
        kubeconfig: Whom it asks, and as whom.
        directory: For what it keeps of the server's documents.
        arguments: Its own.
        stdin: Given to it.

    Raises:
        ProcessError: it failed; the message is its own.
    """
    process = await asyncio.create_subprocess_exec(
        program,
        f"--kubeconfig={kubeconfig}",
        f"--cache-dir={directory}/kubectl",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(stdin.encode())
    if process.returncode:
        raise ProcessError(errors.decode().strip() or output.decode().strip())
    return output.decode() + errors.decode()
