from pathlib import Path
from typing import Any

import pytest
import yaml

from marie_operator.api.permissions import CLUSTER_PERMISSIONS, LEADER_ELECTION_PERMISSIONS, Permission
from marie_operator.testing.manifests import read
from tests.docs.generated import ROOT, program

PROGRAM: Any = program("manifests")


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """hack/manifests.py, writing under a folder of the test's."""
    monkeypatch.setattr(PROGRAM, "CONFIG", tmp_path / "config")
    return PROGRAM


def test_what_is_committed_follows_from_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_check_names_stale_files_and_writes_nothing(
    manifests: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert manifests.main([]) == 0
    assert manifests.main(["--check"]) == 0
    role = tmp_path / "config/rbac/role.yaml"
    role.write_text("old\n")
    assert manifests.main(["--check"]) == 1
    assert capsys.readouterr().err == "stale: config/rbac/role.yaml; run: make manifests\n"
    assert role.read_text() == "old\n"


@pytest.mark.parametrize("plural", ["marieclusters", "mariejobs"])
def test_a_written_definition_reads_back_as_generated(manifests: Any, plural: str) -> None:
    manifests.main([])
    (definition,) = (each for each in manifests.crd.definitions() if each["spec"]["names"]["plural"] == plural)
    assert read(manifests.CONFIG / f"crd/marie.ai_{plural}.yaml") == [definition]


def test_roles_hold_the_tables_and_their_reasons() -> None:
    text = (ROOT / "config/rbac/role.yaml").read_text()
    cluster, election = yaml.safe_load_all(text)
    for role, permissions in ((cluster, CLUSTER_PERMISSIONS), (election, LEADER_ELECTION_PERMISSIONS)):
        assert role["rules"] == [
            {"apiGroups": [each.group], "resources": list(each.resources), "verbs": list(each.verbs)}
            for each in permissions
        ]
        assert all(f"# {each.reason}\n" in text for each in permissions)


def every(verb: str) -> set[str]:
    return {name for each in CLUSTER_PERMISSIONS if verb in each.verbs for name in each.resources}


def test_no_permission_is_wider_than_it_says() -> None:
    everything: tuple[Permission, ...] = (*CLUSTER_PERMISSIONS, *LEADER_ELECTION_PERMISSIONS)
    assert not any("*" in (*each.resources, *each.verbs, each.group) for each in everything)
    # Secrets are read by name, one at a time; informers hold none.
    assert [each.verbs for each in everything if "secrets" in each.resources] == [("get", "create", "patch", "delete")]
    # What may not be installed is read by name, by a list, which tells a missing kind from a missing object.
    assert every("list") - every("watch") == {"httproutes"}
    assert not every("escalate") | every("bind") | every("impersonate") | every("deletecollection")
    assert every("update") == {"marieclusters/finalizers", "mariejobs/finalizers"}


@pytest.mark.parametrize("folder", ["crd", "rbac", "manager", "default", "samples"])
def test_every_file_of_a_folder_is_part_of_it(folder: str) -> None:
    base = ROOT / "config" / folder
    listed = set(yaml.safe_load((base / "kustomization.yaml").read_text())["resources"])
    there = {str(path.relative_to(base)) for path in base.rglob("*.yaml")} - {"kustomization.yaml"}
    assert {name for name in listed if not name.startswith("..")} == there
