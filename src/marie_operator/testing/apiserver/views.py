"""How objects are shown: whole, as metadata alone, or as a table for people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from marie_operator.testing.apiserver import lists, table
from marie_operator.testing.apiserver.errors import Object, Refusal
from marie_operator.testing.apiserver.kinds import Kind
from marie_operator.testing.apiserver.lists import Page
from marie_operator.testing.apiserver.store import Entry, encode

Form = Literal["Object", "Table", "PartialObjectMetadata"]
_META = {"apiVersion": "meta.k8s.io/v1"}


@dataclass(frozen=True, slots=True)
class View:
    """One client's choice.

    Attributes:
        form: What it wants to see.
        include: Of a table: what each row carries of its object.
        now: For ages.
    """

    form: Form
    include: str
    now: Callable[[], datetime]

    def one(self, kind: Kind, entry: Entry) -> bytes:
        """One object."""
        if self.form == "Object":
            return kind.prefix + kind.bare(entry)[1:]
        if self.form == "Table":
            found = self._table(kind, [entry.object])
            return encode(found | {"metadata": {"resourceVersion": str(entry.revision)}})
        return encode({"kind": "PartialObjectMetadata", **_META, "metadata": entry.object["metadata"]})

    def many(self, kind: Kind, page: Page) -> bytes:
        """A list."""
        if self.form == "Object":
            return lists.encoded(kind, page)
        meta: Object = {"resourceVersion": str(page.revision)}
        if page.token:
            meta["continue"] = page.token
        if page.remaining is not None:
            meta["remainingItemCount"] = page.remaining
        if self.form == "Table":
            return encode(self._table(kind, [entry.object for entry in page.entries]) | {"metadata": meta})
        items = [
            {"kind": "PartialObjectMetadata", **_META, "metadata": entry.object["metadata"]} for entry in page.entries
        ]
        return encode({"kind": "PartialObjectMetadataList", **_META, "metadata": meta, "items": items})

    def writer(self, kind: Kind) -> Callable[[Entry], bytes]:
        """How a watch shows each object; of tables, only the first says what the columns are."""
        if self.form != "Table":
            return lambda entry: self.one(kind, entry)
        told = False

        def row(entry: Entry) -> bytes:
            nonlocal told
            found = self._table(kind, [entry.object]) | {"metadata": {"resourceVersion": str(entry.revision)}}
            if told:
                found["columnDefinitions"] = None
            told = True
            return encode(found)

        return row

    def _table(self, kind: Kind, objects: list[Object]) -> Object:
        shown = [kind.shown(each) for each in objects]
        return table.table(kind, shown, now=self.now(), include=self.include)


def view(accept: str, query: Mapping[str, str], now: Callable[[], datetime]) -> View:
    """What a client accepts, of its choices the first that is served.

    Raises:
        Refusal: 406, none is.
    """
    for choice in accept.split(",") if accept else ("*/*",):
        kind, *parameters = (part.strip() for part in choice.split(";"))
        if kind not in {"application/json", "application/yaml", "*/*", "application/*"}:
            continue
        options = dict(each.split("=", 1) for each in parameters if "=" in each)
        form = options.get("as", "")
        if form == "Table":
            return View("Table", query.get("includeObject", "Metadata"), now)
        if form in {"PartialObjectMetadata", "PartialObjectMetadataList"}:
            return View("PartialObjectMetadata", "", now)
        if not form:
            return View("Object", "", now)
    raise Refusal(
        406,
        "406: Not Acceptable\n\nAvailable representations: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf",
    )
