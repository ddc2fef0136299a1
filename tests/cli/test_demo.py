"""The demo as its user sees it: to its end, stopped under way, and when it cannot begin."""

import asyncio
import io
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from marie_operator.cli import demo, live
from marie_operator.testing.processes import killed_with_parent

STOPPED = "Stopped; nothing is left behind."


async def start(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "marie_operator", "demo", *arguments),
        env={"PATH": os.environ["PATH"], "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=killed_with_parent(),
    )


async def read(process: asyncio.subprocess.Process, *, until: str = "") -> str:
    """What it prints, to the end or to the first line with some text in it."""
    assert process.stdout is not None
    lines = []
    async for line in process.stdout:
        lines.append(line.decode())
        if until and until in lines[-1]:
            break
    return "".join(lines)


def left(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def processes(folder: Path) -> list[str]:
    """The command lines in which a folder is named."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.mark.embedded
async def test_it_comes_to_its_end_without_a_home_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = await start(tmp_path, "--documents", "2", "--jobs", "2")
    told = await read(process)
    assert await process.wait() == 0, told
    assert "MarieJob ocr-batch-job: Succeeded, 2 of 2 documents." in told
    assert "MarieJob ocr-batch-job-2: Succeeded, 2 of 2 documents." in told
    assert told.count("  4 results are under s3://bucket/results/, listed in s3://bucket/results/_manifests/") == 2
    assert "make demo ARGS=--keep" in told
    assert left(tmp_path) == []
    assert processes(tmp_path) == []


@pytest.mark.embedded
@pytest.mark.parametrize("when", ["Starting", "Look in from another terminal", "Applying", "Created", "Running"])
async def test_stopped_at_any_moment_it_leaves_nothing_behind(tmp_path: Path, when: str) -> None:
    # So many that it is not done before the signal is there.
    process = await start(tmp_path, "--documents", "500")
    await read(process, until=when)
    process.send_signal(signal.SIGINT)
    told = await read(process)
    assert await process.wait() == 130
    assert told.splitlines()[-1] == STOPPED
    assert left(tmp_path) == []
    assert processes(tmp_path) == []


@pytest.mark.embedded
async def test_kept_it_runs_on_with_commands_to_try_until_it_is_stopped(tmp_path: Path) -> None:
    process = await start(tmp_path, "--keep", "--documents", "1")
    told = await read(process, until="The operator's log")
    assert "describe mc/my-cluster" in told
    (folder,) = left(tmp_path)
    assert f"--kubeconfig={folder}/admin.kubeconfig" in told
    log = Path(told.rstrip().rpartition(" ")[2])
    assert "reconciled" in await asyncio.to_thread(log.read_text, encoding="utf-8")
    process.send_signal(signal.SIGINT)
    assert (await read(process)).splitlines()[-1] == STOPPED
    assert await process.wait() == 0
    assert left(tmp_path) == []


def pod(name: str) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True"}]
    return {"metadata": {"name": name, "labels": {}}, "status": {"conditions": conditions, "podIP": "10.244.0.7"}}


@pytest.mark.parametrize("width", [10, 40, 80, 99, 100, 240])
@pytest.mark.parametrize("jobs", [0, 1, 7])
def test_it_is_drawn_on_terminals_of_every_width(width: int, jobs: int) -> None:
    names = [f"my-cluster-executor-ocr-gpu-t7bcw8v62k-{suffix}" for suffix in ("6qvm8", "ssgvh")]
    seen = live.Snapshot(
        cluster={"metadata": {"name": "my-cluster"}, "status": {"phase": "Running"}},
        jobs=[{"metadata": {"name": f"job-{each}"}} for each in range(jobs)],
        pods=[pod(each) for each in names],
        expected=jobs,
    )
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(live.picture(seen, width=width))
    drawn = console.export_text()
    assert max(map(len, drawn.splitlines())) <= width
    if width >= 80:
        assert all(name in drawn for name in names)
        assert ("10.244.0.7" in drawn) is (width >= 100)
        assert ("and 2 more MarieJobs" in drawn) is (jobs == 7)


def test_without_a_place_for_its_files_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert demo.main(jobs=1, documents=1, real=False, keep=False) == 1
    problem = capsys.readouterr().err
    assert problem.startswith("error: [Errno 2]")
    assert "Set TMPDIR" in problem


def test_a_real_control_plane_that_is_nowhere_is_told_how_to_come_by(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr("marie_operator.cli.stage.__file__", str(tmp_path / "a" / "b" / "c" / "stage.py"))
    assert demo.main(jobs=1, documents=1, real=True, keep=False) == 1
    problem = capsys.readouterr().err
    assert "KUBEBUILDER_ASSETS" in problem
    assert "checkout" in problem
