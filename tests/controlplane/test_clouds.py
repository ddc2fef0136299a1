"""Documents and results in other clouds, on servers of their protocols."""

import json
from pathlib import Path
from typing import Any

import pytest

from marie_operator.runtime import is_true
from marie_operator.testing.controlplane import locate_binaries
from marie_operator.testing.s3 import S3Server
from tests.clouds.azurite import Azurite
from tests.clouds.cloud import Cloud
from tests.clouds.google import GoogleStorage
from tests.controlplane.world import ROOT, World

NAMES = {"gs": "google", "az": "azure"}


async def begun(world: World, source: Cloud, target: Cloud, bucket: str, archive: str) -> str:
    """A job from one cloud into the other; its name."""
    name = f"from-{NAMES[source.scheme]}"
    spec: dict[str, Any] = {
        "clusterRef": "my-cluster",
        "jobType": "ocr",
        "input": {
            "uri": f"{source.scheme}://{bucket}/in/",
            "exclude": ["draft/*"],
            "credentialsSecretRef": {"name": NAMES[source.scheme]},
        },
        "output": {
            "uri": f"{target.scheme}://{archive}/{name}/",
            "credentialsSecretRef": {"name": NAMES[target.scheme]},
        },
        "batch": {"maxInFlight": 3},
    }
    await world.create(
        {"apiVersion": "marie.ai/v1alpha1", "kind": "MarieJob", "metadata": {"name": name}, "spec": spec}
    )
    return name


@pytest.mark.real
async def test_documents_go_from_one_cloud_through_marie_into_the_other(world: World, tmp_path: Path) -> None:
    marie, (one, other) = world.stage.s3, (tmp_path / "google", tmp_path / "azure")
    one.mkdir()
    other.mkdir()
    marie.put("marie", "made", b"")
    await world.key_of("my-cluster")
    await world.apply(ROOT / "config/samples/seed/mariecluster.yaml")
    await world.condition("marieclusters", "my-cluster", "Ready")
    async with (
        S3Server(locate_binaries(ROOT) / "versitygw", one) as store,
        GoogleStorage(store) as google,
        Azurite(other) as azurite,
    ):
        clouds: list[Cloud] = [google, azurite]
        archives = [await cloud.bucket() for cloud in clouds]
        places = dict[str, tuple[Cloud, str, Cloud, str]]()
        for index, cloud in enumerate(clouds):
            secret = {"kind": "Secret", "metadata": {"name": NAMES[cloud.scheme]}, "stringData": cloud.secret}
            await world.create({"apiVersion": "v1", **secret})
            bucket = await cloud.bucket()
            for number in range(8):
                await cloud.put(bucket, f"in/{number}.pdf", b"%PDF-1.7")
            await cloud.put(bucket, "in/draft/0.pdf", b"%PDF-1.7")
            places[NAMES[cloud.scheme]] = (cloud, bucket, clouds[1 - index], archives[1 - index])
        jobs = {await begun(world, place[0], place[2], place[1], place[3]): place for place in places.values()}

        for name, (source, bucket, target, archive) in jobs.items():
            await world.condition("mariejobs", name, "Complete")
            status = (await world.get("mariejobs", name))["status"]
            assert (status["documents"]["succeeded"], status["documents"]["filtered"]) == (8, 1)
            assert is_true(status["conditions"], "ResultsCopied")
            found = await target.objects(archive)
            results = {key.split("/")[1] for key in found if key.startswith(f"{name}/")}
            assert results == {*(f"{number}.pdf" for number in range(8)), "_manifests"}
            manifest = found[status["result"]["manifestUri"].split("/", 3)[3]]
            told = sorted(json.loads(line)["document"] for line in manifest.splitlines())
            assert told == [f"{source.scheme}://{bucket}/in/{number}.pdf" for number in range(8)]

    uris = [dag.uri for dag in world.marie("my-cluster").dags]
    assert len(uris) == len(set(uris)) == 16
    assert all(uri.startswith("s3://marie/staged/from-") for uri in uris)
    assert not [key for key in marie.objects("marie") if key.startswith("staged/from-")]
