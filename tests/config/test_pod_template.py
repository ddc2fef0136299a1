import importlib.util
import json

import pytest

from tests.config.kubectl import ROOT, Kubectl


@pytest.mark.controlplane
def test_the_pod_template_is_the_api_servers_own(bare: Kubectl) -> None:
    spec = importlib.util.spec_from_file_location("pod_template", ROOT / "hack/pod_template.py")
    assert spec
    assert spec.loader
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    definitions = json.loads(bare("get", "--raw", "/openapi/v3/api/v1"))["components"]["schemas"]
    committed = json.loads((ROOT / "src/marie_operator/api/pod_template.json").read_text())
    assert generator.structural(definitions[generator.ROOT], definitions) == committed
