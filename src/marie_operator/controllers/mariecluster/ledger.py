"""Where a cluster's Marie keeps its jobs, and as whom the operator may change them."""

from marie_operator.api.mariecluster import MarieCluster
from marie_operator.builders import backing, secret
from marie_operator.builders.backing import Service
from marie_operator.controllers.named import NamedObjects
from marie_operator.marie.gateways import Place
from marie_operator.runtime import Forbidden
from marie_operator.runtime.resource import SECRETS, ObjectKey


async def place(cluster: MarieCluster, named: NamedObjects) -> Place | None:
    """The database of a cluster, with the gateway's own user; None where it, or the Secret, is not known.

    Args:
        cluster: The cluster.
        named: Reads the Secret.

    Raises:
        ApiError: The Secret could not be read, for a reason other than lacking permission.
        Unreachable: The API server did not answer.
    """
    services, credentials = backing.of(cluster), backing.postgres_credentials(cluster)
    if services is None or credentials is None:
        return None
    try:
        found = await named.get(SECRETS, ObjectKey(cluster.metadata.namespace, credentials.name))
    except Forbidden:
        return None
    texts = {} if found is None else secret.texts(found)
    user, password = texts.get(credentials.username_key), texts.get(credentials.password_key)
    if not user or not password:
        return None
    address = backing.addresses(cluster)[Service.POSTGRES]
    return Place(address.host, address.port, services.postgres.database, user, password)
