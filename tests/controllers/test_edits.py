"""Which edits of a job the API server takes, and from when on it refuses them."""

from typing import Any

import pytest

from marie_operator.testing.api import ApiStatus
from tests.controllers.mariecluster.plane import Plane, run
from tests.controllers.mariecluster.test_backing import job

pytestmark = pytest.mark.embedded

TAKEN: dict[str, Any] = {"clusterName": "c", "documents": {"listed": 1, "succeeded": 1}}
"""The status of a job that has taken documents, which have ended."""
IN_HAND: dict[str, Any] = {
    "clusterName": "c",
    "documents": {"listed": 1, "inFlight": [{"uri": "s3://bucket/one.pdf", "refId": "r"}]},
}

KEEPS_ITS_SOURCE: dict[str, dict[str, Any]] = {
    "document": {"uri": "s3://bucket/two.pdf"},
    "bucket": {"uri": "s3://other/one.pdf"},
    "scheme": {"uri": "gs://bucket/one.pdf"},
    "prefix": {"uri": "s3://bucket/"},
    "failures": {"uri": None, "failedOf": "before"},
    "data": {"uri": None, "data": "aGVsbG8="},
    "ConfigMap": {"uri": "", "configMapRef": {"name": "letters"}},
    "Secret": {"uri": "", "secretRef": {"name": "letters"}},
}


def edited(status: dict[str, Any], *edits: dict[str, Any], refused: str = "") -> None:
    """Make edits one after the other to a job that somebody else looks after, and that stands so."""

    async def story(plane: Plane) -> None:
        made = job()
        await plane.apply({**made, "spec": {**made["spec"], "managedBy": "kueue.x-k8s.io/multikueue"}})
        await plane.api.patch(f"{plane.path('mariejobs', 'j')}/status", {"status": status})
        for edit in edits:
            if not refused:
                await plane.patch("mariejobs", "j", {"spec": edit})
                continue
            with pytest.raises(ApiStatus, match=refused):
                await plane.patch("mariejobs", "j", {"spec": edit})

    run(story)


def test_a_job_that_has_taken_documents_keeps_to_where_they_are() -> None:
    edits = [{"input": edit} for edit in KEEPS_ITS_SOURCE.values()]
    edited(TAKEN, *edits, refused="the job has taken documents, and keeps to where they are: leave uri")


def test_a_job_that_has_taken_documents_keeps_its_type() -> None:
    edited(TAKEN, {"jobType": "ocr"}, {"jobType": None}, refused="the job has taken documents, whose results are kept")


def test_a_job_with_documents_in_hand_keeps_its_cluster() -> None:
    edited(IN_HAND, {"clusterRef": "d"}, refused="the cluster has documents of the job in hand: leave clusterRef")


def test_before_documents_are_taken_all_of_it_can_be_corrected() -> None:
    spec = {"clusterRef": "d", "jobType": "ocr"}
    no_source = dict.fromkeys(("uri", "failedOf", "data", "configMapRef", "secretRef"))
    edits = ({**spec, "input": no_source | edit} for edit in KEEPS_ITS_SOURCE.values())
    edited({"documents": {"listed": 0}}, *edits)


def test_later_what_does_no_harm_can_be_changed() -> None:
    harmless: dict[str, Any] = {
        "suspend": True,
        "input": {"credentialsSecretRef": {"name": "store"}, "data": "", "configMapRef": {"name": ""}},
        "output": {"uri": "s3://results/"},
        "activeDeadlineSeconds": 60,
    }
    edited(IN_HAND, harmless, {"clusterRef": "c"}, {"clusterRef": None, "clusterSelector": {"pool": "blue"}})
    edited(TAKEN, harmless, {"clusterRef": "d"})
