"""How a job ended, in a ConfigMap of its user's choice."""

import pytest

from marie_operator.controllers import kinds
from marie_operator.marie.gateways import DocumentState
from marie_operator.runtime.resource import CONFIG_MAPS, Object, ObjectKey
from tests.controllers.mariejob.operator_process import KEY
from tests.controllers.mariejob.samples import job
from tests.controllers.mariejob.test_reconciler import Stage, run

REPORT = ObjectKey("docs", "what-became")
SUBJECT = job(output={"configMapRef": {"name": REPORT.name}}, backoffLimit=0)


def owned_by(kind: str, uid: str) -> Object:
    owner = {"apiVersion": "v1", "kind": kind, "name": "other", "uid": uid, "controller": True}
    return {
        "metadata": {"namespace": "docs", "name": REPORT.name, "ownerReferences": [owner]},
        "data": {"job": "other"},
    }


async def ended(stage: Stage, outcome: DocumentState = DocumentState.SUCCEEDED) -> list[tuple[str, str, str]]:
    """Run the job to its end; what was told."""
    stage.marie.outcome = outcome
    async with stage.process() as process:
        await run(stage, process)
        return process.events.recorded


@pytest.mark.parametrize("outcome", [DocumentState.SUCCEEDED, DocumentState.FAILED])
async def test_what_became_of_a_job_is_there_when_it_has_ended(outcome: DocumentState) -> None:
    stage = Stage(SUBJECT)
    await ended(stage, outcome)
    report, status = stage.api.objects[CONFIG_MAPS, REPORT], stage.api.objects[kinds.MARIE_JOBS, KEY]["status"]
    done = outcome is DocumentState.SUCCEEDED
    told = {
        "job": "scan",
        "phase": "Succeeded" if done else "Failed",
        "message": status["message"],
        "documents": "7",
        "succeeded": "7" if done else "0",
        "failed": "0" if done else "7",
    }
    assert report["data"] == (told | {"outputUri": status["result"]["outputUri"]} if done else told)
    [owner] = report["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("MarieJob", "scan", True)
    # A container can take them as its environment.
    assert all(key.isidentifier() for key in report["data"])


async def test_a_config_map_that_is_there_stays_its_makers() -> None:
    stage = Stage(SUBJECT)
    stage.api.put(CONFIG_MAPS, {"metadata": {"namespace": "docs", "name": REPORT.name}, "data": {"theirs": "stays"}})
    await ended(stage)
    report = stage.api.objects[CONFIG_MAPS, REPORT]
    assert "ownerReferences" not in report["metadata"]
    assert report["data"]["phase"] == "Succeeded"


async def test_what_belongs_to_others_is_not_touched_and_the_job_ends_all_the_same() -> None:
    stage = Stage(SUBJECT)
    stage.api.put(CONFIG_MAPS, owned_by("Deployment", "uid-other"))
    told = await ended(stage)
    assert stage.api.objects[CONFIG_MAPS, REPORT]["data"] == {"job": "other"}
    [(_, _, note)] = [each for each in told if each[1] == "NameTaken"]
    assert "belongs to Deployment other" in note
    assert stage.api.objects[kinds.MARIE_JOBS, KEY]["status"]["phase"] == "Succeeded"


async def test_without_permission_the_job_ends_and_says_so() -> None:
    stage = Stage(SUBJECT)
    stage.api.forbidden.add(("get", CONFIG_MAPS))
    told = await ended(stage)
    [(_, _, note)] = [each for each in told if each[1] == "PermissionDenied"]
    assert note.startswith(f"How the job ended is not written to ConfigMap {REPORT.name}")
    assert stage.api.objects[kinds.MARIE_JOBS, KEY]["status"]["phase"] == "Succeeded"
