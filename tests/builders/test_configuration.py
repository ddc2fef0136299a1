"""The rendered configuration, key by key, against files written out by hand from what a real Marie was started with."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.builders import backing, configuration, pod, quoting
from marie_operator.builders.backing import Service
from tests.builders.clusters import GOLDENS, admitted, cluster, container, group, template

EXPECTED = Path(__file__).parent / "configuration"
VALUES = {
    "bare-postgres": {"username": "postgres", "password": "pg-secret"},
    "bare-api-key": {"apiKey": "mas_key"},
    "whole-api-key": {"apiKey": "mas_key"},
    "database": {"user": "marie", "password": "s3cret"},
    "bucket": {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s3-secret"},
    "broker": {"username": "rabbit", "password": "carrot"},
    "frontend": {"marie-key": "mau_key"},
}
MANAGED: dict[str, Any] = {"etcd": {"managed": {}}, "postgres": {"managed": {}}}


class _Loader(yaml.SafeLoader):
    """Reads the tag at a gateway's head as Marie does: as the name of a class."""


def _tagged(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    return {"!": "MarieGateway", **loader.construct_mapping(node, deep=True)}


_Loader.add_constructor("!MarieGateway", _tagged)


def parsed(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


def rendered(name: str) -> dict[str, str]:
    return configuration.files(admitted(GOLDENS / name / "input.yaml"), VALUES)


@pytest.mark.parametrize(
    ("golden", "file", "expected"),
    [
        ("backing-managed", "gateway.yml", "bare-gateway.yml"),
        ("backing-managed", "executor-extract.yml", "bare-executor-extract.yml"),
        ("backing-references", "gateway.yml", "whole-gateway.yml"),
    ],
)
def test_a_rendered_file_is_what_marie_expects_key_by_key(golden: str, file: str, expected: str) -> None:
    written = (EXPECTED / expected).read_text(encoding="utf-8")
    text = rendered(golden)[file]
    assert parsed(text) == parsed(written)
    assert text.startswith("!MarieGateway\n") == written.startswith("!MarieGateway\n")


def test_every_file_that_a_pod_mounts_is_rendered_and_no_other() -> None:
    assert set(rendered("backing-managed")) == {
        "gateway.yml",
        "mapper.yml",
        "executor-extract.yml",
    }
    assert set(rendered("backing-references")) == {"gateway.yml", "mapper.yml", "executor-letters.yml"}
    assert rendered("backing-own-files") == {}
    assert parsed(rendered("backing-references")["mapper.yml"]) == {"model_executors": {"qwen_3_vl": "letter_executor"}}


def test_a_groups_own_class_and_ports_are_rendered() -> None:
    pod_template = template(container(ports=[{"name": "worker", "containerPort": 7000}]))
    of = cluster(
        group("a", pod_template, executorName="a_executor", uses={"jtype": "A", "pyModules": ["a.b"]}),
        backingServices=MANAGED,
    )
    values = {"c-postgres": {"username": "u", "password": "p"}, "c-api-key": {"apiKey": "k"}}
    (executor,) = parsed(configuration.files(of, values)["executor-a.yml"])["executors"]
    assert executor["name"] == "a_executor"
    assert executor["port"] == 7000
    assert executor["uses"]["jtype"] == "A"
    assert executor["uses"]["metas"] == {"py_modules": ["a.b"]}
    assert "pipeline" not in executor["uses"]["with"]
    assert "env" not in executor


def test_a_key_that_two_secrets_hold_is_configured_once() -> None:
    of = cluster(
        backingServices=MANAGED,
        auth={"clientKeySecretRefs": [{"name": "c-api-key"}, {"name": "other"}, {"name": "other", "key": "again"}]},
    )
    values = {
        "c-postgres": {"username": "u", "password": "p"},
        "c-api-key": {"apiKey": "k"},
        "other": {"apiKey": "o", "again": "o"},
    }
    keys = configuration.gateway(of, values)["with"]["auth"]["keys"]
    assert [(each["name"], each["api_key"]) for each in keys] == [("marie-operator", "k"), ("other/apiKey", "o")]


def test_queues_follow_from_the_groups_unless_they_are_given() -> None:
    values = {"c-postgres": {"username": "u", "password": "p"}, "c-api-key": {"apiKey": "k"}}

    def queues(**spec: Any) -> Any:
        of = cluster(
            group("a", executorType="ner"), group("b", executorType="extract"), backingServices=MANAGED, **spec
        )
        return configuration.gateway(of, values)["with"]["job_scheduler_kwargs"]["queue_names"]

    assert queues() == ["extract", "ner"]
    assert queues(scheduler={"queues": ["letters"]}) == ["letters"]
    assert queues(scheduler={"maxConcurrentDags": 3}) == ["extract", "ner"]


def test_a_type_that_names_no_queue_is_left_out_of_them() -> None:
    values = {"c-postgres": {"username": "u", "password": "p"}, "c-api-key": {"apiKey": "k"}}
    of = cluster(group("a", executorType="it's", executorName="mock_executor"), backingServices=MANAGED)
    assert configuration.gateway(of, values)["with"]["job_scheduler_kwargs"]["queue_names"] == ["extract"]


@pytest.mark.parametrize(
    ("service", "field", "text"),
    [
        ("postgres", "database", "007"),
        ("s3", "bucket", "1e5"),
        ("s3", "region", "$REGION"),
        ("rabbitmq", "virtualHost", "true"),
    ],
)
def test_a_text_of_the_spec_that_marie_would_misread_is_told_of(service: str, field: str, text: str) -> None:
    secret = {"credentialsSecretRef": {"name": "s"}}
    given: dict[str, dict[str, Any]] = {
        "postgres": {"host": "db", **secret},
        "s3": {"endpoint": "http://minio:9000", **secret},
        "rabbitmq": {"host": "rabbit", **secret},
    }
    services: dict[str, Any] = {**MANAGED, **given, service: given[service] | {field: text}}
    assert [str(each) for each in configuration.unrenderable(cluster(backingServices=services))] == [
        f"spec.backingServices.{service}.{field}: Marie would misread this text: choose a value that is no number, is "
        "not quoted, has no blanks at its ends, and has no $ or ! before a letter, digit or brace."
    ]


def test_a_group_whose_class_is_not_known_is_told_of() -> None:
    of = cluster(group("a", executorType="extract"), group("b", executorType="ner"), backingServices=MANAGED)
    (found,) = configuration.unrenderable(of)
    assert str(found) == (
        "spec.executorGroupSpecs[1]: which class executors named ner_t run is not known: set uses.jtype and "
        "uses.pyModules, or configFile to a Flow of your own."
    )
    own = cluster(group("b", executorType="ner", configFile="/flows/ner.yml"), backingServices=MANAGED)
    assert configuration.unrenderable(own) == []


@pytest.mark.parametrize(
    ("named", "name"),
    [({}, "llm-annotator"), ({"executorType": "table-parser"}, "table-parser"), ({"executorName": "2nd"}, "2nd")],
)
def test_a_group_whose_executors_would_have_a_name_that_marie_refuses_is_told_of(
    named: dict[str, Any], name: str
) -> None:
    uses = {"jtype": "Annotator", "pyModules": ["invoices"]}
    of = cluster(group("llm-annotator", uses=uses, **named), backingServices=MANAGED)
    (found,) = configuration.unrenderable(of)
    assert str(found) == (
        f"spec.executorGroupSpecs[0]: Marie takes no executor named {name}: set executorName to letters, digits and "
        "underscores, none of the digits first, as query plans address it."
    )
    assert (
        configuration.unrenderable(
            cluster(group("llm-annotator", uses=uses, **named | {"executorName": "annotator"}), backingServices=MANAGED)
        )
        == []
    )


@pytest.mark.parametrize(
    "server",
    [
        {"template": template(container(args=["gateway"]))},
        {"template": template(container(command=["/start"]))},
        {"template": template(container(volumeMounts=[{"name": "v", "mountPath": "/config/"}]))},
        {"template": template(container(volumeMounts=[{"name": "v", "mountPath": "/config/marie.yml"}]))},
        {"configFile": "/etc/marie/config/service/marie.yml"},
    ],
)
def test_a_users_own_file_is_left_alone(server: dict[str, Any]) -> None:
    of = cluster(server=server, backingServices=MANAGED)
    assert not pod.renders_server(of)
    spec = pod.server_template(of)["spec"]
    assert not [volume for volume in spec["volumes"] if volume["name"].startswith(("marie-config", "marie-mapper"))]
    variables = {each["name"] for each in spec["containers"][0]["env"]}
    assert {"ETCD_HOSTNAME", "POSTGRES_HOSTNAME", "POSTGRES_USER", "POSTGRES_PASSWORD"} <= variables


def test_nothing_is_rendered_and_nothing_awaited_without_backing_services() -> None:
    of = cluster(group())
    assert not pod.renders_server(of)
    assert backing.addresses(of) == {}
    assert "initContainers" not in pod.server_template(of)["spec"]


@pytest.mark.kuberay("KU-33")
def test_a_pod_waits_for_every_service_at_its_own_address() -> None:
    of = admitted(GOLDENS / "backing-references" / "input.yaml")
    waits = [
        each["command"][-3:]
        for each in pod.server_template(of)["spec"]["initContainers"]
        if each["name"].startswith("wait-")
    ]
    assert waits == [
        ["etcd", "etcd.infra", "12379"],
        ["postgres", "db.example.com", "6432"],
        ["s3", "minio.storage", "9000"],
        ["rabbitmq", "rabbit.infra", "5672"],
    ]
    assert backing.managed(of) == set()
    assert backing.managed(admitted(GOLDENS / "backing-managed" / "input.yaml")) == {Service.ETCD, Service.POSTGRES}


def as_marie_reads(text: str) -> object:
    """What marie.jaml and marie.helper.parse_arg make of a string, where no environment variable is named."""
    if len(text) >= 2 and text[0] in "'\"" and text[-1] in "'\"":
        return text[1:-1]
    if text.startswith("[") and text.endswith("]"):
        return []
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return {"": None, "true": True, "false": False}.get(text.lower(), text)


@given(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8) | st.from_regex(r"[0-9+\-_.e]{1,6}")
)
def test_what_is_accepted_as_a_password_reaches_marie_as_it_is(text: str) -> None:
    if quoting.survives(text):
        assert str(as_marie_reads(text)) == text
        assert parsed(yaml.safe_dump(text)) == text


@pytest.mark.parametrize(
    "text", [" a", "a ", "a$HOME", "a${x}", "a!b", "1e5", "007", "true", "", "'a'", "[a]", "a\nb", "infinity"]
)
def test_what_marie_would_misread_is_refused(text: str) -> None:
    assert not quoting.survives(text)


@pytest.mark.parametrize("text", ["123456", "correct horse", "a$", "Tr0ub4dor&3!", "0x1F-", "${", "p@ss:word/1"])
def test_other_passwords_are_taken(text: str) -> None:
    assert quoting.survives(text) == (text != "${")


KEYS = st.text(alphabet=st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=5)


@given(st.dictionaries(KEYS, st.text(max_size=200) | st.integers() | st.lists(st.text())))
def test_both_emitters_write_the_same_text(settings: dict[str, Any]) -> None:
    written = configuration.text(settings)
    assert written == configuration.text(settings, native=False)
    assert yaml.safe_load(written) == settings
