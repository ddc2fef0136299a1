"""The command line as its user types it."""

import re
import sys
from pathlib import Path

import pytest
import typer.core

from marie_operator import __version__
from marie_operator.cli.app import app, main

README = (Path(__file__).parents[2] / "README.md").read_text()
PROGRAM = typer.main.get_command(app)


def typed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """The exit code of a command line."""
    monkeypatch.setattr(sys, "argv", ["marie-operator", *arguments])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def options() -> list[typer.core.TyperOption]:
    """Those of ``run``."""
    assert isinstance(PROGRAM, typer.core.TyperGroup)
    return [each for each in PROGRAM.commands["run"].params if isinstance(each, typer.core.TyperOption)]


def test_a_word_that_is_no_command_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, "rnu") == 2
    assert "No such command 'rnu'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_the_version(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert not typed(monkeypatch, *arguments)
    assert capsys.readouterr().out == f"marie-operator {__version__}\n"


def test_an_option_without_a_command_is_one_of_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, "--concurrency", "none") == 2
    assert "marie-operator run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("A B", "'A B' is no name of a namespace; separate several by commas."),
        ("a,b_c", "'b_c' is no name of a namespace; separate several by commas."),
        (" , ", "' , ' names no namespace; leave it empty for all of them."),
    ],
)
def test_namespaces_that_nobody_can_have_are_not_taken_for_others_or_for_all(
    given: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WATCH_NAMESPACE", given)
    assert typed(monkeypatch, "run", "--kubeconfig=none") == 2
    assert f"'--namespaces' (env var: 'WATCH_NAMESPACE'): {told}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--lease-name", "--lease-namespace"])
def test_a_lease_that_nobody_can_have_is_refused(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, "run", "--kubeconfig=none", option, "Bad_Name") == 2
    assert f"'{option}': 'Bad_Name' is no name of" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["-h", "--help"])
def test_help_has_the_whole_of_every_option(
    asked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not typed(monkeypatch, "run", asked)
    text = re.sub(r"\s+", "", capsys.readouterr().out)
    for option in options():
        assert option.opts[0] in text
        assert re.sub(r"\s+", "", option.help or "") in text
        assert str(option.envvar or "") in text


def test_the_readme_has_every_option() -> None:
    rows = {flag: row for row in README.splitlines() for flag in re.findall(r"^\|[^|]*\| `(--[a-z-]+)` \|", row)}
    assert sorted(rows) == sorted(each.opts[0] for each in options())
    for option in options():
        variable, default = rows[option.opts[0]].split("|")[1].strip(), rows[option.opts[0]].split("|")[-2].strip()
        if option.envvar:
            assert variable == f"`{option.envvar}`"
        if option.default not in {None, ""}:
            assert default.lower().startswith(f"`{str(option.default).lower()}`")
