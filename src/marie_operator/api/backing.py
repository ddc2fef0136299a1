"""What a cluster stands on: etcd, PostgreSQL, an object store and a broker, the user's own or the operator's."""

from typing import Annotated

from pydantic import Field

from marie_operator.api.meta import Int32, Model, Quantity

QUEUE = r"^[-._a-zA-Z0-9]+$"
"""Names of queues: Marie writes them into SQL as they are."""

Host = Annotated[str, Field(max_length=253)]
Port = Annotated[Int32, Field(ge=1, le=65535)]
Queue = Annotated[str, Field(min_length=1, max_length=255, pattern=QUEUE)]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]


class Resources(Model):
    """What a container asks for."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict, description="Amounts that the node must have to spare, such as cpu and memory."
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict, description="Amounts that the container may not exceed, such as cpu and memory."
    )


class Storage(Model):
    """The volume of a managed service."""

    size: Quantity | None = Field(
        default=None, description="Size of the volume, such as 10Gi; it can be raised later where the class allows it."
    )
    storage_class_name: str | None = Field(
        default=None,
        max_length=253,
        description="StorageClass of the volume; without it, the default class. It cannot be changed later.",
    )


class Managed(Model):
    """A service on one node that the operator runs beside the cluster, for trials and small installations."""

    image: str = Field(default="", max_length=1024, description="Image to run in place of the one the operator knows.")
    resources: Resources | None = Field(
        default=None, description="What the service's container asks for, in place of the operator's own figures."
    )
    storage: Storage | None = Field(default=None, description="The volume that keeps the service's data.")


class Credentials(Model):
    """A Secret with a user's name and password."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret, in the cluster's namespace.")
    username_key: SecretKey = Field(default="username", description="Key within the Secret that holds the user's name.")
    password_key: SecretKey = Field(default="password", description="Key within the Secret that holds the password.")


class Etcd(Model):
    """The etcd in which executors register and the gateway keeps slots."""

    host: Host = Field(
        default="",
        description="Host name of an etcd that no other MarieCluster uses: Marie keeps everything under fixed keys.",
    )
    port: Port = Field(default=2379, description="Port of etcd's client API; Marie speaks to it without TLS.")
    managed: Managed | None = Field(
        default=None, description="Write {} for an etcd of one node that the operator runs; leave host empty then."
    )


class Postgres(Model):
    """The PostgreSQL database in which Marie keeps jobs."""

    host: Host = Field(default="", description="Host name of a PostgreSQL server.")
    port: Port = Field(default=5432, description="Port of the PostgreSQL server.")
    database: str = Field(
        default="postgres",
        min_length=1,
        max_length=63,
        description="Database that no other MarieCluster uses: Marie keeps everything in one fixed schema. "
        "It needs the extensions pg_cron and vector.",
    )
    credentials_secret_ref: Credentials | None = Field(
        default=None, description="Secret with the user's name and password; needed unless the server is managed."
    )
    managed: Managed | None = Field(
        default=None,
        description="Write {} for a PostgreSQL of one node that the operator runs; leave the other fields empty then.",
    )


class S3Credentials(Model):
    """A Secret with the keys of an object store."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret, in the cluster's namespace.")
    access_key_id_key: SecretKey = Field(
        default="AWS_ACCESS_KEY_ID", description="Key within the Secret that holds the access key's id."
    )
    secret_access_key_key: SecretKey = Field(
        default="AWS_SECRET_ACCESS_KEY", description="Key within the Secret that holds the secret access key."
    )


class S3(Model):
    """The object store that Marie reads documents from and writes results to."""

    endpoint: str = Field(
        max_length=2048,
        pattern=r"^https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?/?$",
        description="URL of the store, such as http://minio.storage:9000 or https://s3.eu-central-1.amazonaws.com.",
    )
    bucket: str = Field(
        default="marie",
        min_length=1,
        max_length=63,
        description="Bucket that Marie works in; it is created when it does not exist.",
    )
    region: str = Field(
        default="us-east-1",
        max_length=63,
        pattern=r"^[!-~]*$",
        description="Region of the store, as the store names it.",
    )
    credentials_secret_ref: S3Credentials = Field(description="Secret with the store's access keys.")


class RabbitMQ(Model):
    """The broker to which Marie publishes events of jobs."""

    host: Host = Field(min_length=1, description="Host name of a RabbitMQ server.")
    port: Port = Field(default=5672, description="AMQP port of the RabbitMQ server.")
    virtual_host: str = Field(default="/", max_length=255, description="Virtual host that Marie publishes to.")
    credentials_secret_ref: Credentials = Field(description="Secret with the user's name and password.")


class BackingServices(Model):
    """The services a cluster stands on; etcd and PostgreSQL are needed, the others as the work demands."""

    etcd: Etcd = Field(description="Where executors register: an etcd of the cluster's own, by address or managed.")
    postgres: Postgres = Field(
        description="Where jobs are kept: a database of the cluster's own, by address or managed."
    )
    s3: S3 | None = Field(
        default=None, description="The object store of documents and results; executors that extract text need one."
    )
    rabbitmq: RabbitMQ | None = Field(
        default=None, description="A message broker for events of jobs; nothing in Marie needs it."
    )


class Planner(Model):
    """A Python module that turns a kind of job into the steps executors take."""

    name: str = Field(min_length=1, max_length=253, description="Name of the planner, for Marie's log.")
    py_module: str = Field(
        min_length=1,
        max_length=253,
        description="Module that registers the planner, on the Python path of the server's image. "
        "The server does not start when it cannot be imported.",
    )


class Scheduler(Model):
    """What of Marie's scheduler is rendered into the gateway's configuration."""

    queues: tuple[Queue, ...] = Field(
        default=(),
        max_length=256,
        description="Queues that exist from the start, named by letters, digits, dashes, underscores and dots; others "
        "are made when their first job arrives. Without it: extract, and the executor types of the groups.",
    )
    planners: tuple[Planner, ...] = Field(
        default=(),
        max_length=256,
        description="Planners beside Marie's own, which is extract.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    min_concurrent_dags: Int32 = Field(
        default=2, ge=1, description="Fewest jobs that the scheduler keeps active at the same time."
    )
    max_concurrent_dags: Int32 = Field(
        default=16, ge=1, description="Most jobs that the scheduler keeps active at the same time."
    )
    mapper: dict[str, str] = Field(
        default_factory=dict,
        description="Executors by the name of the model that a plan asks for (model_executors of Marie's mapper.yml).",
    )


class FlowExecutor(Model):
    """The class that a group's executors run."""

    jtype: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the executor's Python class, such as TextExtractionExecutor.",
    )
    py_modules: tuple[str, ...] = Field(
        default=(), max_length=64, description="Modules that define the class, such as marie.executor.text."
    )
