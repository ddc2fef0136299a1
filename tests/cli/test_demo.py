"""What the demo says when it cannot begin."""

import tempfile
from pathlib import Path

import pytest

from marie_operator.cli import demo


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
