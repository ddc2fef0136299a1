"""What each input becomes, whole.

After an intended change: pytest tests/builders --update-goldens, and read the difference before it is committed.
"""

from pathlib import Path
from typing import Any

import pytest

from marie_operator.api.validation import problems
from marie_operator.builders import chain, http_route
from marie_operator.testing.manifests import read
from tests.builders.clusters import GOLDENS, SAMPLES, admitted, dumped, inputs
from tests.builders.schemas import validate

CASES = list(inputs())
each = pytest.mark.parametrize(("name", "path"), CASES, ids=[name for name, _ in CASES])


def built(path: Path) -> list[dict[str, Any]]:
    return [manifest for _, manifest in chain.desired(admitted(path))]


@each
def test_the_chain_of(name: str, path: Path, update_goldens: bool) -> None:
    assert problems(admitted(path)) == []
    golden = GOLDENS / name / "expected.yaml"
    options = admitted(path).spec.http_route
    manifests = built(path) + ([http_route.server(admitted(path), options)] if options is not None else [])
    if update_goldens:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(dumped(manifests), encoding="utf-8")
    assert manifests == read(golden)


@pytest.mark.parametrize("version", ["1.25", "1.36"])
@each
def test_every_manifest_is_valid(name: str, path: Path, version: str) -> None:
    for manifest in built(path):
        validate(manifest, version)


def test_there_is_no_golden_without_an_input() -> None:
    assert {folder.name for folder in GOLDENS.iterdir()} == {name for name, _ in CASES}


@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("mariecluster*.yaml")), ids=lambda path: path.stem)
def test_no_sample_is_warned_of(path: Path) -> None:
    assert chain.warnings(admitted(path)) == []
