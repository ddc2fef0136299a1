"""MarieClusters for the tests of this folder: goldens' inputs, samples, and small ones made on the spot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.testing.manifests import read

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "config" / "samples"
GOLDENS = Path(__file__).parent / "golden"

UID = "11111111-2222-3333-4444-555555555555"


def container(**fields: Any) -> dict[str, Any]:
    return {"name": "marie", "image": "marieai/marie:4.0.0", **fields}


def template(*containers: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    result: dict[str, Any] = {"spec": {"containers": list(containers) or [container()], **spec}}
    return result if metadata is None else {"metadata": metadata, **result}


def group(name: str = "ocr", pod: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"groupName": name, "template": pod or template(), **fields}


def cluster(
    *groups: dict[str, Any], name: str = "c", server: dict[str, Any] | None = None, uid: str = UID, **spec: Any
) -> MarieCluster:
    return MarieCluster.model_validate(
        {
            "metadata": {"name": name, "namespace": "n", "uid": uid},
            "spec": {"serverSpec": {"template": template(), **(server or {})}, "executorGroupSpecs": groups, **spec},
        }
    )


def inputs() -> Iterator[tuple[str, Path]]:
    """Every golden's name and the file with its MarieCluster: the samples, the Go operator's own,
    and the cases of this folder."""
    for path in sorted(SAMPLES.rglob("mariecluster*.yaml")):
        yield "sample-" + "-".join(path.relative_to(SAMPLES).with_suffix("").parts), path
    yield "upstream", ROOT / "tests/api/upstream/marie_v1alpha1_mariecluster.yaml"
    for path in sorted(GOLDENS.glob("*/input.yaml")):
        yield path.parent.name, path


def admitted(path: Path, namespace: str = "default") -> MarieCluster:
    """A file's MarieCluster as the API server would hand it over."""
    (written,) = read(path)
    metadata = {**written["metadata"], "namespace": namespace, "uid": UID}
    return MarieCluster.model_validate({**written, "metadata": metadata})


class _Plain(yaml.SafeDumper):
    """Writes parts that manifests share in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dumped(manifests: list[dict[str, Any]]) -> str:
    """Manifests as a YAML stream that reads well in a diff."""
    return yaml.dump_all(manifests, Dumper=_Plain, sort_keys=False, width=120)
