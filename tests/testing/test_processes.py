"""Child processes: what they say when they fail, and that none is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from marie_operator.testing import processes
from marie_operator.testing.processes import PORTS, Process, ProcessError, free_ports

PARENT = """\
import asyncio, sys
from pathlib import Path
from marie_operator.testing.processes import Process

async def main():
    child = Process("child", ["sleep", "1000"], directory=Path(sys.argv[1]))
    await child.start()
    print(child.pid, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


def shell(script: str, directory: Path) -> Process:
    return Process("server", ["sh", "-c", script], directory=directory)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
async def stubborn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    monkeypatch.setattr("marie_operator.testing.processes.STOP_TIMEOUT", 0.2)
    process = shell("trap '' TERM; echo up; while :; do sleep 0.05; done", tmp_path)
    await process.start()
    await until(lambda: "up" in process.log.read_text())
    yield process
    await process.stop(signal.SIGKILL)


async def test_a_server_that_ends_by_itself_shows_the_end_of_its_log(tmp_path: Path) -> None:
    process = shell("seq 100; echo no room left >&2; exit 3", tmp_path)
    await process.start()
    await process.wait()

    with pytest.raises(ProcessError, match="server ended with exit code 3") as failure:
        process.check()

    lines = str(failure.value).splitlines()
    assert lines[-1] == "no room left"
    assert "5" not in lines


async def test_a_server_that_was_stopped_has_not_failed(tmp_path: Path) -> None:
    process = shell("exec sleep 1000", tmp_path)
    process.check()
    await process.start()
    process.check()
    await process.stop()
    process.check()
    assert not process.running


async def test_a_server_can_be_started_again_and_keeps_its_log(tmp_path: Path) -> None:
    process = shell("echo up; exec sleep 1000", tmp_path)
    await process.start()
    await until(lambda: process.log.read_text() == "up\n")
    await process.stop(signal.SIGKILL)
    await process.start()
    await until(lambda: process.log.read_text() == "up\nup\n")
    await process.stop()


async def test_a_server_that_ignores_the_signal_is_killed(stubborn: Process) -> None:
    await stubborn.stop()
    assert await stubborn.wait() == -signal.SIGKILL


async def test_what_a_server_has_started_ends_with_it(tmp_path: Path) -> None:
    process = shell("sleep 1000 & echo $!; wait", tmp_path)
    await process.start()
    await until(lambda: process.log.read_text() != "")
    await process.stop()
    started = int(process.log.read_text())
    await until(lambda: not _alive(started))


async def test_a_server_is_started_once(stubborn: Process) -> None:
    with pytest.raises(ProcessError, match="runs already"):
        await stubborn.start()


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"etcd cannot be started: .*/none/etcd"):
        await Process("etcd", ["/none/etcd"], directory=tmp_path).start()


async def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    os.kill(child, 0)

    parent.kill()
    await parent.wait()

    await until(lambda: not _alive(child))


def _alive(pid: int) -> bool:
    try:
        # A child without a parent may wait for an init process that never collects it.
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_free_ports_are_distinct_and_never_those_of_outgoing_connections() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert set(ports) <= set(PORTS)


def test_a_port_is_given_to_one_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = range(PORTS.start, PORTS.start + 40)
    monkeypatch.setattr(processes, "PORTS", narrow)
    ours = free_ports(10)
    program = (
        "from marie_operator.testing import processes\n"
        f"processes.PORTS = {narrow!r}\n"
        "print(*processes.free_ports(10))\n"
    )
    theirs = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {int(port) for port in theirs.stdout.split()} & set(ours)


def test_more_ports_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PORTS", range(PORTS.start, PORTS.start + 3))
    with pytest.raises(ProcessError, match="4 ports were asked for"):
        free_ports(4)
