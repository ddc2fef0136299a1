"""The page of fields is current, and has every field that is the project's own."""

from typing import Any

from marie_operator.api import crd
from tests.docs.generated import program

fields: Any = program("fields")


def test_the_page_is_current() -> None:
    assert fields.PAGE.read_text(encoding="utf-8") == fields.page(), "run: make docs"


def test_every_field_of_a_spec_is_described() -> None:
    page = fields.page()
    for definition in crd.definitions():
        spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        assert [name for name in spec["properties"] if f"| `{name}`" not in page] == []
