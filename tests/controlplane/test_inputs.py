"""Documents that a job, a ConfigMap or a Secret holds, to the end, on an object store that the operator writes."""

import base64
from typing import Any

from marie_operator.runtime import is_true
from tests.controlplane.world import ROOT, World

PDF = b"%PDF-1.7 \xff"


def job(name: str, **given: Any) -> dict[str, Any]:
    return {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": "MarieJob",
        "metadata": {"name": name},
        "spec": {
            "clusterRef": "my-cluster",
            "jobType": "ocr",
            "input": given,
            "output": {"uri": f"s3://bucket/{name}/"},
        },
    }


async def test_documents_in_objects_are_processed_and_what_was_put_for_marie_goes(world: World) -> None:
    store, data = world.stage.s3, base64.b64encode(PDF).decode()
    store.put("marie", "staged/of-another-job/kept", b"")
    store.put("bucket", "there", b"")
    await world.key_of("my-cluster")
    await world.apply(ROOT / "config/samples/seed/mariecluster.yaml")
    await world.condition("marieclusters", "my-cluster", "Ready")
    metadata = {"name": "letters"}
    await world.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"s.pdf": data}})
    await world.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"a.txt": "text"},
            "binaryData": {"b.pdf": data},
        }
    )
    await world.create(job("inline", data=data))
    await world.create(job("configured", configMapRef=metadata))
    await world.create(job("secret", secretRef=metadata))

    for name, documents in {"inline": ["document.pdf"], "configured": ["a.txt", "b.pdf"], "secret": ["s.pdf"]}.items():
        await world.condition("mariejobs", name, "Complete")
        status = (await world.get("mariejobs", name))["status"]
        assert status["documents"]["succeeded"] == len(documents), status
        assert is_true(status["conditions"], "ResultsCopied")
        results = {key.split("/")[1] for key in store.objects("bucket") if key.startswith(f"{name}/")}
        assert results - {"_manifests"} == set(documents)

    uris = sorted(dag.uri for dag in world.marie("my-cluster").dags)
    assert [uri.rpartition("/")[2] for uri in uris] == ["a.txt", "b.pdf", "document.pdf", "s.pdf"]
    assert all(uri.startswith("s3://marie/staged/") for uri in uris)
    assert not [key for key in store.objects("marie") if key.startswith("staged/") and "of-another-job" not in key]
