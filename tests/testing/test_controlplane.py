"""The control plane itself: faults of its servers, and what it says when it cannot start."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from marie_operator.testing.controlplane import OPERATOR, ControlPlane, locate_binaries
from marie_operator.testing.processes import ProcessError

pytestmark = pytest.mark.controlplane

REPOSITORY = Path(__file__).parents[2]

PARENT = """\
import asyncio, sys
from pathlib import Path
from marie_operator.testing.controlplane import ControlPlane

async def main():
    async with ControlPlane(Path(sys.argv[1]), Path(sys.argv[2]), controllers=False):
        print("up", flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.fixture(scope="session")
def binaries() -> Path:
    return locate_binaries(REPOSITORY)


async def test_what_was_stored_survives_a_crash_of_either_server(binaries: Path, tmp_path: Path) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    async with ControlPlane(binaries, tmp_path, controllers=False) as plane, plane.api() as api:
        for name, crash, start in (
            ("a", plane.kill_apiserver, plane.start_apiserver),
            ("b", plane.kill_etcd, plane.start_etcd),
        ):
            await api.create(path, {"metadata": {"name": name}, "data": {"kept": name}})
            await crash()
            await start()
            output = await plane.kubectl("get", "--raw", f"{path}/{name}")
            assert f'"kept":"{name}"' in output


async def test_the_operator_has_no_rights_but_those_it_is_given(binaries: Path, tmp_path: Path) -> None:
    async with ControlPlane(binaries, tmp_path, controllers=False) as plane:
        assert "marie-operator" in await plane.kubectl("auth", "whoami", user=OPERATOR)
        with pytest.raises(ProcessError, match='User "system:serviceaccount:marie-system:marie-operator" cannot list'):
            await plane.kubectl("get", "configmaps", user=OPERATOR)


async def test_a_server_that_died_meanwhile_is_told_at_the_end(binaries: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with ControlPlane(binaries, tmp_path, controllers=False) as plane:
            (pid,) = _processes(tmp_path, "kube-apiserver")
            os.kill(pid, signal.SIGKILL)
            await _until(lambda: _failed(plane))

    with pytest.raises(ProcessError, match="kube-apiserver ended with exit code -9"):
        await run()
    assert not _processes(tmp_path)


async def test_a_server_that_does_not_start_shows_its_log_and_leaves_nothing(binaries: Path, tmp_path: Path) -> None:
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "etcd").symlink_to(binaries / "etcd")
    (broken / "kube-apiserver").write_text("#!/bin/sh\necho no such flag >&2\nexit 1\n")
    (broken / "kube-apiserver").chmod(0o755)
    plane = tmp_path / "plane"

    with pytest.raises(ProcessError, match=r"kube-apiserver ended with exit code 1(?s:.*)no such flag"):
        async with ControlPlane(broken, plane, controllers=False):
            pass

    assert not _processes(plane)


async def test_nothing_outlives_a_test_run_that_is_killed(binaries: Path, tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, binaries, tmp_path, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    assert await parent.stdout.readline() == b"up\n"
    assert len(_processes(tmp_path, "etcd")) == len(_processes(tmp_path, "kube-apiserver")) == 1

    parent.kill()
    await parent.wait()

    await _until(lambda: not _processes(tmp_path))


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not holds():
            await asyncio.sleep(0.05)


def _failed(plane: ControlPlane) -> bool:
    try:
        plane.check()
    except ProcessError:
        return True
    return False


def _processes(directory: Path, program: str = "") -> list[int]:
    """Processes of a control plane, known by its folder on their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if f"{directory}/" in " ".join(arguments[1:]) and arguments[0].endswith(program):
            found.append(int(path.parent.name))
    return found


def test_without_a_checkout_the_binaries_are_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert locate_binaries() == tmp_path
    monkeypatch.delenv("KUBEBUILDER_ASSETS")
    with pytest.raises(ProcessError, match="set KUBEBUILDER_ASSETS to a folder with etcd"):
        locate_binaries()
