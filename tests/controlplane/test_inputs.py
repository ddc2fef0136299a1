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

    for name, documents in {"inline": ["inline"], "configured": ["a.txt", "b.pdf"], "secret": ["s.pdf"]}.items():
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


async def test_how_a_job_ended_is_added_to_what_a_config_map_has_and_one_that_is_immutable_keeps_no_job(
    world: World,
) -> None:
    for bucket in ("marie", "bucket"):
        world.stage.s3.put(bucket, "there", b"")
    await world.key_of("my-cluster")
    await world.apply(ROOT / "config/samples/seed/mariecluster.yaml")
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"theirs": "stays"}}
    await world.create({**theirs, "metadata": {"name": "open"}})
    await world.create({**theirs, "metadata": {"name": "closed"}, "immutable": True})
    await world.condition("marieclusters", "my-cluster", "Ready")
    for name in ("open", "closed"):
        made = job(name, data=base64.b64encode(PDF).decode())
        made["spec"]["output"]["configMapRef"] = {"name": name}
        await world.create(made)
    for name in ("open", "closed"):
        await world.condition("mariejobs", name, "Complete")

    told = (await world.get("configmaps", "open"))["data"]
    assert told["theirs"] == "stays"
    assert {key: told[key] for key in ("job", "phase", "documents", "succeeded", "failed")} == {
        "job": "open",
        "phase": "Succeeded",
        "documents": "1",
        "succeeded": "1",
        "failed": "0",
    }
    assert (await world.get("configmaps", "closed"))["data"] == {"theirs": "stays"}

    async def said() -> str:
        found = [each for each in await world.items("events") if each["reason"] == "ChildRefused"]
        return "".join(each["note"] for each in found)

    note = await world.until("it is said why", said)
    assert note.startswith("How the job ended is not written to ConfigMap closed: ")
    assert "immutable" in note
    assert note.endswith(" Name another one in spec.output.configMapRef of the next job.")
    # What the operator owns of it goes with nothing: it is its maker's.
    assert "ownerReferences" not in (await world.get("configmaps", "open"))["metadata"]
