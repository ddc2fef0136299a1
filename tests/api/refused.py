"""One object for every rule: what it breaks, where, and the sentence it gets."""

from copy import deepcopy
from typing import Any, NamedTuple

TEMPLATE = {"spec": {"containers": [{"name": "marie", "image": "marieai/marie:4.0.0"}]}}
ONE = "s3://bucket/one.pdf"
CONTAINER_MESSAGE = "the pod template needs a container: give template.spec.containers one with a name and an image"


class Refused(NamedTuple):
    kind: str
    name: str
    spec: dict[str, Any]
    field: str
    message: str


def group(name: str = "ocr", **fields: Any) -> dict[str, Any]:
    return {"groupName": name, "template": TEMPLATE, **fields}


def cluster(field: str, message: str, *groups: dict[str, Any], name: str = "c", template: Any = TEMPLATE) -> Refused:
    return Refused(
        "MarieCluster",
        name,
        {"serverSpec": {"template": template}, "executorGroupSpecs": [group("first"), *groups]},
        field,
        message,
    )


def backed(field: str, message: str, **services: Any) -> Refused:
    managed: dict[str, Any] = {"etcd": {"managed": {}}, "postgres": {"managed": {}}}
    spec = {"serverSpec": {"template": TEMPLATE}, "backingServices": managed | services}
    return Refused("MarieCluster", "c", spec, field, message)


def networked(field: str, message: str, **spec: Any) -> Refused:
    return Refused("MarieCluster", "c", {"serverSpec": {"template": TEMPLATE}, **spec}, field, message)


def job(field: str, message: str, **spec: Any) -> Refused:
    return Refused("MarieJob", "j", {"clusterRef": "c", "input": {"uri": ONE}, **spec}, field, message)


def own(field: str, message: str, **cluster: Any) -> Refused:
    spec = {"serverSpec": {"template": TEMPLATE}, **cluster}
    return Refused("MarieJob", "j", {"clusterSpec": spec, "input": {"uri": ONE}}, field, message)


def submitter(**pod: Any) -> dict[str, Any]:
    return {
        "submissionMode": "K8sJobSubmission",
        "submitterPodTemplate": {"spec": {"containers": TEMPLATE["spec"]["containers"], **pod}},
    }


def given_object(case: Refused) -> dict[str, Any]:
    return {
        "apiVersion": "marie.ai/v1alpha1",
        "kind": case.kind,
        "metadata": {"name": case.name},
        "spec": deepcopy(case.spec),
    }


REFUSED = (
    *(
        networked(
            f"spec.networkPolicy.{field}[1]",
            f"an entry of {field} is either pods or addresses: give podSelector, namespaceSelector or both, "
            "or ipBlock alone",
            networkPolicy={field: [{"podSelector": {}}, peer]},
        )
        for field in ("clients", "monitoring")
        for peer in ({}, {"namespaceSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})
    ),
    networked(
        "spec.ingress",
        "ingress is given, but no Ingress is asked for: set enableIngress to true, or remove ingress",
        ingress={"host": "marie.example.com"},
    ),
    networked(
        "spec.serverSpec.extraPorts[0].name",
        "http, grpc, metrics are the names of Marie's own ports: give the port another",
        serverSpec={"template": TEMPLATE, "extraPorts": [{"name": "grpc", "port": 9000}]},
    ),
    cluster(
        "metadata.name",
        "Services are named after the cluster: rename it to lower-case letters, digits and dashes, starting "
        "with a letter",
        name="marie.prod",
    ),
    backed(
        "metadata.name",
        "a label of the managed database's pod, <name>-postgres-<hash>, must fit in 63 characters: rename the cluster "
        "to at most 43 characters",
    )._replace(name="n" * 44),
    backed(
        "spec.backingServices.s3.endpoint",
        "the port of endpoint is a number from 1 to 65535: correct it, or leave it out",
        s3={"endpoint": "http://minio:65536", "credentialsSecretRef": {"name": "s"}},
    ),
    backed(
        "spec.backingServices.etcd.host",
        "Marie does not reach etcd by an address of IPv6: give host a name that leads to it, such as that of a Service",
        etcd={"host": "fd00::1"},
    ),
    cluster(
        "metadata.name",
        "the Service <name>-server-headless must fit in 63 characters: rename the cluster to at most 47 characters",
        name="n" * 48,
    )._replace(spec={"serverSpec": {"template": TEMPLATE}}),
    cluster(
        "spec.executorGroupSpecs[1].groupName",
        "each Service <name>-executor-<groupName>-svc must fit in 63 characters: shorten the cluster's name or the "
        "groupName, to 49 characters together",
        group("g" * 30),
        name="n" * 20,
    ),
    cluster("spec.serverSpec.template", CONTAINER_MESSAGE, template={}),
    cluster("spec.serverSpec.template", CONTAINER_MESSAGE, template={"spec": {"containers": []}}),
    cluster("spec.executorGroupSpecs[1].template", CONTAINER_MESSAGE, group(template={})),
    cluster(
        "spec.executorGroupSpecs[1].minReplicas",
        "minReplicas is above maxReplicas: lower the one or raise the other",
        group(minReplicas=3, maxReplicas=2),
    ),
    cluster(
        "spec.executorGroupSpecs[1].modelCache",
        "sizeLimit bounds a cache of the pod's own: leave it out with claimName",
        group(modelCache={"claimName": "models", "sizeLimit": "10Gi"}),
    ),
    cluster(
        "spec.executorGroupSpecs[1].modelCache",
        "a cache of the pod's own begins empty and cannot be read-only: leave readOnly out, or set claimName",
        group(modelCache={"readOnly": True}),
    ),
    *(
        backed(
            f"spec.backingServices.{service}.host",
            f"where {service} is must be said once: give host the name of a server, or write managed: {{}} for one "
            "that the operator runs",
            **{service: given},
        )
        for service, given in (
            ("etcd", {}),
            ("etcd", {"host": "etcd", "managed": {}}),
            ("postgres", {"credentialsSecretRef": {"name": "database"}}),
            ("postgres", {"host": "database", "managed": {}}),
        )
    ),
    *(
        backed(
            f"spec.backingServices.{service}.host",
            "host is the name of a server, or its address, and nothing else: leave http:// and the like out, and give "
            "port its port",
            **{service: {"host": host, **({} if service == "etcd" else {"credentialsSecretRef": {"name": "s"}})}},
        )
        for service, host in (
            ("etcd", "http://etcd:2379"),
            ("etcd", "etcd:2379"),
            ("etcd", "etcd.infra/"),
            ("postgres", "postgres://db"),
            ("postgres", "db db"),
            ("rabbitmq", "amqp://broker"),
            ("rabbitmq", "[fd00::1]"),
        )
    ),
    *(
        backed(
            "spec.backingServices.postgres.credentialsSecretRef",
            "a server of your own needs its password, a managed one makes it: set credentialsSecretRef with host, "
            "and leave it out with managed",
            postgres=given,
        )
        for given in ({"host": "database"}, {"managed": {}, "credentialsSecretRef": {"name": "database"}})
    ),
    backed(
        "spec.backingServices.postgres.database",
        "the managed server's database is postgres: leave database out",
        postgres={"managed": {}, "database": "marie"},
    ),
    cluster(
        "spec.scheduler.minConcurrentDags",
        "minConcurrentDags is above maxConcurrentDags: lower the one or raise the other",
    )._replace(
        spec={
            "serverSpec": {"template": TEMPLATE},
            "scheduler": {"minConcurrentDags": 5, "maxConcurrentDags": 4},
        }
    ),
    *(
        job(
            field,
            "more than one cluster is named: keep one of clusterRef, clusterSelector and clusterSpec",
            **given,
        )
        for field, given in (
            ("spec.clusterSelector", {"clusterSelector": {"environment": "production"}}),
            ("spec.clusterSpec", {"clusterSpec": {"serverSpec": {"template": TEMPLATE}}}),
        )
    ),
    job(
        "spec.clusterRef",
        "no cluster is named: give clusterRef the name of a MarieCluster, clusterSelector its labels, or clusterSpec "
        "the spec of one of the job's own",
        clusterRef="",
    ),
    own(
        "spec.clusterSpec.executorGroupSpecs[0].groupName",
        "each Service <cluster>-executor-<groupName>-svc must fit in 63 characters: shorten the groupName to "
        "37 characters",
        executorGroupSpecs=[group("g" * 38)],
    ),
    own(
        "spec.clusterSpec.executorGroupSpecs[0].minReplicas",
        "minReplicas is above maxReplicas: lower the one or raise the other",
        executorGroupSpecs=[group(minReplicas=3, maxReplicas=2)],
    ),
    own(
        "spec.clusterSpec.serverSpec.template", CONTAINER_MESSAGE, serverSpec={"template": {"spec": {"containers": []}}}
    ),
    *(
        job(
            "spec.deletionStrategy",
            "deletionStrategy says all of what is deleted: remove shutdownAfterJobFinishes and "
            "ttlSecondsAfterFinished, or deletionStrategy",
            deletionStrategy={"deletionRules": [{"policy": "DeleteSelf"}]},
            **given,
        )
        for given in ({"shutdownAfterJobFinishes": True}, {"ttlSecondsAfterFinished": 0})
    ),
    *(
        job(
            "spec.deletionStrategy.deletionRules[1].policy",
            "a cluster that is not the job's own is not deleted with it: use the policies DeleteSelf and DeleteNone, "
            "or clusterSpec",
            deletionStrategy={"deletionRules": [{"policy": "DeleteSelf"}, {"policy": policy}]},
        )
        for policy in ("DeleteCluster", "DeleteWorkers")
    ),
    job(
        "spec.submitterPodTemplate",
        "submitterPodTemplate is used by submissionMode K8sJobSubmission alone: set that mode, or remove the template",
        submitterPodTemplate=TEMPLATE,
    ),
    job(
        "spec.submitterPodTemplate",
        "the pod template needs a container: give submitterPodTemplate.spec.containers one with a name and an image",
        **submitter(containers=[]),
    ),
    job(
        "spec.submitterPodTemplate.spec.restartPolicy",
        "pods of a Job end: set submitterPodTemplate.spec.restartPolicy to Never or OnFailure",
        **submitter(restartPolicy="Always"),
    ),
    *(
        job(
            f"spec.input.{second}",
            "more than one source of documents is named: keep one of uri, failedOf, data, configMapRef and secretRef",
            input={"uri": "gs://bucket/in/", second: value},
        )
        for second, value in {
            "failedOf": "before",
            "data": "aGVsbG8=",
            "configMapRef": {"name": "letters"},
            "secretRef": {"name": "letters"},
        }.items()
    ),
    *(
        job(
            "spec.input",
            'no documents are named: give input.uri, like "s3://bucket/invoice.pdf" for one document or '
            '"s3://bucket/invoices/" for all under a prefix, or failedOf, data, configMapRef or secretRef instead',
            input=given,
        )
        for given in ({}, {"uri": ""}, {"configMapRef": {"name": ""}, "contentType": "image/tiff"})
    ),
    *(
        job(
            "spec.submissionMode",
            "submissionMode K8sJobSubmission is for one document, which input.uri names: use HTTPSubmission, in which "
            "the operator lists the documents and bounds how many are in flight",
            submissionMode="K8sJobSubmission",
            input=given,
        )
        for given in ({"uri": "s3://bucket/in/"}, {"failedOf": "before"}, {"data": "aGVsbG8="})
    ),
    *(
        job(
            "spec.input.uri",
            'uri is in no object store that documents are taken from: write it like "s3://bucket/invoice.pdf" for one '
            'document or "s3://bucket/invoices/" for all under a prefix, or with gs:// or az://',
            input={"uri": uri},
        )
        for uri in (
            "file:///in/one.pdf",
            "https://bucket/one.pdf",
            "bucket/one.pdf",
            "S3://bucket/in/",
            "s3a://bucket/",
        )
    ),
    *(
        job(
            "spec.output.uri",
            'uri is in no object store that results are copied to: write it like "s3://bucket/results/", or with '
            "gs:// or az://",
            output={"uri": uri},
        )
        for uri in ("s4://bucket/results/", "results/", "s3:/bucket/")
    ),
    job(
        "spec.input.failedOf",
        "a job cannot take its own failures: give failedOf the name of another job, which has ended",
        input={"failedOf": "j"},
    ),
    *(
        job(
            "spec.output.format",
            "Marie stores nothing in csv or yaml: set format to json, or leave it out, and convert what is copied; or "
            "to xml",
            output={"format": format_},
        )
        for format_ in ("csv", "yaml")
    ),
    *(
        job(
            "spec.output.configMapRef.name",
            "configMapRef names no ConfigMap: use lower-case letters, digits, - and ., with a letter or a digit at "
            "both ends of what a dot parts",
            output={"configMapRef": {"name": name}},
        )
        for name in ("Report", "größe", "a..b", "-a", "a/b")
    ),
    *(
        job(
            f"spec.input.{next(iter(filters))}",
            "include and exclude choose among the documents under a prefix: end uri with / for all under it, "
            "or remove them",
            input=given | filters,
        )
        for given, filters in (
            ({"uri": "s3://bucket/one.pdf"}, {"include": ["*.pdf"]}),
            ({"uri": "s3://bucket/one.pdf"}, {"exclude": ["*.tif"]}),
            ({"failedOf": "before"}, {"include": ["*.pdf"], "exclude": ["*.tif"]}),
        )
    ),
    *(
        job(
            f"spec.sla.{field}",
            f'{field} is not a time span: write hours, minutes and seconds above zero, such as "30m" or "1h30m"',
            sla={field: value},
        )
        for field in ("softDeadline", "hardDeadline")
        for value in ("soon", "30", "0s", "-5m", "1 h")
    ),
    job(
        "spec.sla.softDeadline",
        "softDeadline is after hardDeadline: shorten the one or lengthen the other",
        sla={"softDeadline": "61m", "hardDeadline": "1h"},
    ),
)

# These break two fields at once, or two rules that follow from each other.
REFUSED_TWICE = (
    networked(
        "spec.serverSpec.extraPorts[1].port",
        "two extraPorts have the same port and protocol: give one of them another, or leave it out",
        serverSpec={
            "template": TEMPLATE,
            "extraPorts": [
                {"name": "a", "port": 9000, "protocol": "UDP"},
                {"name": "b", "port": 9000},
                {"name": "c", "port": 9000},
            ],
        },
    ),
    cluster(
        "spec.executorGroupSpecs[0].groupName",
        "two executor groups have the same groupName: rename one of them",
        group("first"),
    ),
    cluster(
        "spec.executorGroupSpecs[1].minReplicas",
        "minReplicas is above maxReplicas: lower the one or raise the other",
        group(replicas=2, minReplicas=3, maxReplicas=1),
    ),
)
