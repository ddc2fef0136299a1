"""How objects are shown: whole, as metadata alone, or as a table for people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from marie_operator.testing.apiserver import lists, table
from marie_operator.testing.apiserver.errors import Object, Refusal
from marie_operator.testing.apiserver.kinds import Kind
from marie_operator.testing.apiserver.lists import Page
from marie_operator.testing.apiserver.negotiation import Choice
from marie_operator.testing.apiserver.store import Entry, encode

_ONE, _MANY = "PartialObjectMetadata", "PartialObjectMetadataList"


@dataclass(frozen=True, slots=True)
class View:
    """One client's choice.

    Attributes:
        form: What it wants to see; empty for objects as they are.
        version: Of that form.
        include: Of a table: what each row carries of its object.
        now: For ages.
    """

    form: str
    version: str
    include: str
    now: Callable[[], datetime]

    @classmethod
    def of(cls, choice: Choice, query: Mapping[str, str], now: Callable[[], datetime]) -> "View":
        """What a request asks for."""
        return cls(choice.form, choice.version, query.get("includeObject", ""), now)

    def one(self, kind: Kind, entry: Entry) -> bytes:
        """One object.

        Raises:
            Refusal: 406, a list was asked for; 400, rows cannot carry what was asked for.
        """
        if not self.form:
            return kind.prefix + kind.bare(entry)[1:]
        if self.form == "Table":
            found = self._table(kind, [entry.object])
            return encode(found | {"metadata": {"resourceVersion": str(entry.revision)}})
        if self.form == _MANY:
            raise _unfit(self.form, f"is not a list ({_go_type(kind)})")
        return encode(self._bare(entry))

    def many(self, kind: Kind, page: Page) -> bytes:
        """A list.

        Raises:
            Refusal: 406, one object was asked for; 400, rows cannot carry what was asked for.
        """
        if not self.form:
            return lists.encoded(kind, page)
        meta: Object = {"resourceVersion": str(page.revision)}
        if page.token:
            meta["continue"] = page.token
        if page.remaining is not None:
            meta["remainingItemCount"] = page.remaining
        if self.form == "Table":
            return encode(self._table(kind, [entry.object for entry in page.entries]) | {"metadata": meta})
        if self.form == _ONE:
            raise _unfit(self.form, f"is a list ({_go_type(kind)}List)")
        items = [self._bare(entry) for entry in page.entries]
        return encode({"kind": _MANY, "apiVersion": self._api_version, "metadata": meta, "items": items})

    def writer(self, kind: Kind) -> Callable[[Entry], bytes]:
        """How a watch shows each object; of tables, only the first says what the columns are.

        Raises:
            Refusal: 400, rows cannot carry what was asked for.
        """
        if self.form == _MANY:
            # What cannot be a list stays what it is.
            return lambda entry: kind.prefix + kind.bare(entry)[1:]
        if self.form != "Table":
            return lambda entry: self.one(kind, entry)
        self._table(kind, [])
        told = False

        def row(entry: Entry) -> bytes:
            nonlocal told
            found = self._table(kind, [entry.object]) | {"metadata": {"resourceVersion": str(entry.revision)}}
            if told:
                found["columnDefinitions"] = None
            told = True
            return encode(found)

        return row

    @property
    def _api_version(self) -> str:
        return f"meta.k8s.io/{self.version}"

    def _bare(self, entry: Entry) -> Object:
        return {"kind": _ONE, "apiVersion": self._api_version, "metadata": entry.object["metadata"]}

    def _table(self, kind: Kind, objects: list[Object]) -> Object:
        shown = [kind.shown(each) for each in objects]
        made = table.table(kind, shown, now=self.now(), include=self.include)
        return made if self.version == "v1" else made | {"apiVersion": self._api_version}


def _unfit(form: str, why: str) -> Refusal:
    return Refusal(406, f"you requested {form}, but the requested object {why}")


def _go_type(kind: Kind) -> str:
    """What a server's source calls an object."""
    if kind.custom:
        return "*unstructured.Unstructured"
    package = "core" if kind.group in {"", "events.k8s.io"} else kind.group.partition(".")[0]
    return f"*{package}.{kind.kind}"
