"""Where Marie keeps results, as a cluster and a Secret say."""

import base64

from marie_operator.controllers.mariejob import routes
from marie_operator.controllers.mariejob.observation import Obstacle
from marie_operator.controllers.mariejob.secrets import Secrets
from marie_operator.controllers.named import NamedObjects
from marie_operator.runtime.resource import SECRETS
from tests.controllers.mariejob.apiserver import ApiServer
from tests.controllers.mariejob.clock import TurnedClock
from tests.controllers.mariejob.samples import cluster, job


async def test_a_key_that_would_break_a_request_is_told() -> None:
    api = ApiServer()
    data = {
        name: base64.b64encode(text.encode()).decode()
        for name, text in (("AWS_ACCESS_KEY_ID", "i\nd"), ("AWS_SECRET_ACCESS_KEY", "secret"))
    }
    api.put(SECRETS, {"metadata": {"namespace": "docs", "name": "store"}, "data": data})
    store = {"bucket": "marie", "credentialsSecretRef": {"name": "store"}}
    services = {"etcd": {"managed": {}}, "postgres": {"managed": {}}, "s3": {**store, "endpoint": "http://minio:9000"}}
    secrets = Secrets(NamedObjects(api, clock=TurnedClock()))
    found = await routes.store(job(), cluster(backingServices=services), secrets, has_own=False, scheme="s3")
    assert isinstance(found, Obstacle)
    assert found.message.startswith("AWS_ACCESS_KEY_ID of Secret store must be one line, but has a line break")
