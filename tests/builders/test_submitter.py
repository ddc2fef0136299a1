"""The submitter Job: a golden for each kind of template, and what holds for any."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.api.mariejob import MarieJob
from marie_operator.api.meta import SecretKeyReference
from marie_operator.builders import submitter
from marie_operator.runtime.resource import Object
from tests.builders.schemas import validate

GOLDEN = Path(__file__).parent / "submitter"
ENVIRONMENT = {"MARIE_SERVER_URL": "http://c-server-svc.docs.svc:51000", "MARIE_INPUT_URI": "s3://b/$(HOME).pdf"}
OWN_IMAGE = "marieai/marie-operator:1.0"
TEMPLATES: dict[str, Object | None] = {
    "bare": None,
    "resources": {"spec": {"containers": [{"name": "submitter", "resources": {"limits": {"cpu": "1"}}}]}},
    "own-command": {
        "metadata": {"labels": {"team": "a", "marie.ai/cluster": "mine"}, "annotations": {"note": "one"}},
        "spec": {
            "restartPolicy": "OnFailure",
            "serviceAccountName": "uploader",
            "containers": [
                {"name": "log", "image": "busybox:1"},
                {
                    "name": "submitter",
                    "image": "marieai/marie-cli:3.0",
                    "command": ["marie-cli", "submit"],
                    "env": [{"name": "MARIE_SERVER_URL", "value": "http://elsewhere:8080"}],
                },
            ],
        },
    },
}


def built(template: Object | None = None, *, name: str = "scan", attempt: int = 0, **spec: Any) -> Object:
    given = {"submitterPodTemplate": template} if template is not None else {}
    job = MarieJob.model_validate(
        {
            "metadata": {"name": name, "namespace": "docs", "uid": "uid-1"},
            "spec": {"clusterRef": "c", "submissionMode": "K8sJobSubmission", **given, **spec},
        }
    )
    return submitter.manifest(
        job,
        attempt=attempt,
        cluster="c",
        environment=ENVIRONMENT,
        api_key=SecretKeyReference(name="c-api-key"),
        own_image=OWN_IMAGE,
    )


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_job_is_the_golden_one(name: str, update_goldens: bool) -> None:
    manifest, path = built(TEMPLATES[name]), GOLDEN / f"{name}.yaml"
    if update_goldens:
        path.write_text(yaml.safe_dump(manifest, sort_keys=False))
    assert manifest == yaml.safe_load(path.read_text())


@pytest.mark.parametrize("version", ["1.25", "1.36"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_job_is_valid(name: str, version: str) -> None:
    validate(built(TEMPLATES[name]), version)


names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?){0,3}", fullmatch=True)


@given(names, st.integers(0, 2**31 - 1))
def test_whatever_the_name_the_jobs_is_valid_and_says_the_attempt(name: str, attempt: int) -> None:
    made = built(name=name, attempt=attempt)["metadata"]["name"]
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", made)
    assert made.endswith(f"-{attempt}") == bool(attempt)


@given(st.text(st.sampled_from("$(){}aHOMEé"), max_size=12))
def test_what_the_process_is_told_reaches_it_as_it_is(text: str) -> None:
    job = MarieJob.model_validate(
        {"metadata": {"name": "j", "namespace": "n", "uid": "u"}, "spec": {"clusterRef": "c"}}
    )
    built = submitter.manifest(
        job,
        attempt=0,
        cluster="c",
        environment={"HOME": "/", "MARIE_INPUT_URI": text},
        api_key=SecretKeyReference(name="k"),
        own_image=OWN_IMAGE,
    )
    (container,) = built["spec"]["template"]["spec"]["containers"]
    assert expanded(container["env"][1]["value"], {"HOME": "/"}) == text


def expanded(text: str, known: dict[str, str]) -> str:
    """What the kubelet makes of a variable's value: ``$(NAME)`` of those it knows, and ``$`` of two."""
    return re.sub(
        r"\$(\$|\(([^)]*)\)|.?)",
        lambda found: "$" if found[1] == "$" else known.get(found[2] or "", found[0]),
        text,
        flags=re.DOTALL,
    )


def test_a_security_context_of_the_users_adds_to_ours() -> None:
    written = {
        "spec": {
            "securityContext": {"fsGroup": 5},
            "containers": [{"name": "submitter", "securityContext": {"readOnlyRootFilesystem": False}}],
        }
    }
    spec = built(written)["spec"]["template"]["spec"]
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, "fsGroup": 5}
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_how_often_its_pod_is_made_again_is_the_users_to_say() -> None:
    assert built()["spec"]["backoffLimit"] == 2
    assert built(submitterConfig={"backoffLimit": 0})["spec"]["backoffLimit"] == 0
