"""Whatever is measured, as a process: what it has used is read from /proc, so that any program can be."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marie_operator.testing.processes import Process

OPERATOR = (
    f"{shlex.quote(sys.executable)} -m marie_operator run --kubeconfig={{kubeconfig}} --metrics-bind-address=0"
    " --health-probe-bind-address=0 --log-level=warning --log-format=json"
)
_TICKS = os.sysconf("SC_CLK_TCK")


class Subject(Process):
    """A program under measurement.

    Args:
        command: A shell's command; ``{kubeconfig}`` stands for the file that it is to use.
        kubeconfig: That file.
        directory: For its log and Python's bytecode.
        environment: Variables besides the parent's own.
    """

    def __init__(
        self, command: str, kubeconfig: Path, *, directory: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        # As in an image, where bytecode is there and is not written.
        cached = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(directory.parent / "bytecode")}
        line = "exec " + command.replace("{kubeconfig}", shlex.quote(str(kubeconfig)))
        super().__init__(
            "subject", ["/bin/sh", "-c", line], directory=directory, environment={**cached, **(environment or {})}
        )

    @property
    def usage(self) -> "Usage":
        """What it has used so far."""
        return Usage(self.pid)

    def pause(self) -> None:
        """Have it stand still."""
        os.kill(self.pid, signal.SIGSTOP)

    def terminate(self) -> None:
        """Ask it to end."""
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would, and what it has started."""
        os.killpg(self.pid, signal.SIGKILL)

    def resume(self) -> None:
        """Have it go on."""
        os.kill(self.pid, signal.SIGCONT)

    async def until_idle(self, *, seconds: float = 1.0, share: float = 0.02) -> None:
        """Return once it uses less than this share of a core for so long."""
        while True:
            before = self.usage.cpu
            await asyncio.sleep(seconds)
            self.check()
            if self.usage.cpu - before <= share * seconds:
                return


@dataclass(frozen=True)
class Usage:
    """What a process has used, as /proc tells."""

    pid: int

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far, of user and system, its ended children's included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS

    @property
    def peak(self) -> float:
        """Most memory that was resident at one time, in MiB."""
        return self._status("VmHWM")

    @property
    def resident(self) -> float:
        """Memory that is resident, in MiB."""
        return self._status("VmRSS")

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024
