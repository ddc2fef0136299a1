"""What a server answers that is about no resource: discovery, OpenAPI, its version and its health."""

from marie_operator.testing.apiserver import discovery, openapi
from marie_operator.testing.apiserver.answers import Answer, in_yaml
from marie_operator.testing.apiserver.discovery import Document
from marie_operator.testing.apiserver.errors import NoPage
from marie_operator.testing.apiserver.kinds import Kinds
from marie_operator.testing.apiserver.negotiation import YAML, chosen
from marie_operator.testing.apiserver.requests import Call
from marie_operator.testing.apiserver.routing import no_method, no_resource

_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
_READ = frozenset({"GET", "HEAD"})


class Documents:
    """Makes documents, and keeps them as long as the same kinds are served.

    Args:
        kinds: What is served.
    """

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._generation = -1
        self._made: dict[tuple[str, str], Document] = {}

    def answer(self, call: Call) -> Answer:
        """The answer to a request that is about no resource.

        Raises:
            Refusal: 404, there is nothing; 405, it can only be read; 406, not in this form.
        """
        if call.path in _HEALTH:
            return Answer(200, b"ok", content_type="text/plain; charset=utf-8")
        accept = call.headers.get("accept", "")
        document = self._document(call.path, accept)
        if call.method not in _READ:
            raise no_method()
        tag = f'"{document.etag}"'
        if document.etag and call.headers.get("if-none-match", "").strip('"') == document.etag:
            return Answer(304, headers=(("ETag", tag),))
        headers = (("ETag", tag), ("Vary", "Accept")) if document.etag else ()
        answer = Answer(200, document.body, headers, document.content_type)
        choice = chosen(accept, forms=False)
        readable = call.path.startswith("/api") and choice is not None and choice.media == YAML
        return in_yaml(answer) if readable else answer

    def _document(self, path: str, accept: str) -> Document:
        if self._generation != self._kinds.generation:
            self._generation = self._kinds.generation
            self._made.clear()
        key = (path, accept)
        if key not in self._made:
            self._made[key] = self._make(path, accept)
        return self._made[key]

    def _make(self, path: str, accept: str) -> Document:
        kinds, place = tuple(self._kinds), path.removesuffix("/")
        found = discovery.document(kinds, place, accept) or openapi.document(kinds, place, accept)
        if found is not None:
            return found
        match place.split("/")[1:]:
            case ["api", _, *_] | ["version", _, *_]:
                raise no_resource()
            case ["apis", group, _, *_] if self._kinds.is_built_in(group):
                raise no_resource()
            case _:
                raise NoPage
