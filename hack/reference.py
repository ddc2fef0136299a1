"""Makes docs/reference.md of the docstrings and signatures of everything that ``marie_operator.runtime`` exports.

``python hack/reference.py`` writes it; a test sees that it is current.
"""

from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference.md"
PACKAGE = "marie_operator.runtime"
_HEAD = """# Reference of `marie_operator.runtime`

Every public name; all are imported from `marie_operator.runtime` itself. Letters and numbers in parentheses, such as
(M-06), are promises of [semantics.md](semantics.md). Coroutines are marked `async`; times are in seconds.

This page is made by `python hack/reference.py` of the docstrings.
"""
_SECTIONS = (
    ("Start here", ("Process", "Options", "run", "configure_logs")),
    ("Controllers", ("Controller", "Result", "TerminalError", "own_key", "owner", "always", "asked_for")),
    ("Reading", ("Cache", "Informer", "Event", "Typed", "Unparsable", "NotCached")),
    ("Writing", ("Writer", "Children", "NameTaken", "write_status", "with_condition", "conditions_with", "is_true")),
    ("Telling", ("EventRecorder", "ObjectReference", "Metrics", "Tracer", "Span")),
    ("The API server", ("Client", "PatchKind", "Resource", "Object", "ObjectKey", "ObjectList", "WatchEvent")),
    ("Leading and running", ("Manager", "Elector", "ProcessWatchdog", "Clock", "LoopClock", "SystemClock")),
)  # fmt: skip
ERRORS, KINDS = "Errors", "Kinds"


def page() -> str:
    """The whole page."""
    loader = griffe.GriffeLoader(search_paths=[ROOT / "src"], docstring_parser="google")
    modules = loader.finder.submodules
    # To read the rest of marie_operator as well takes several times as long, and nothing here is about it.
    loader.finder.submodules = lambda package: [each for each in modules(package) if each[0][0] == "runtime"]
    module = loader.load(PACKAGE)
    exported = [str(name) for name in module.exports or ()]
    objects = {name: module[name] for name in exported}
    objects = {name: obj.final_target if obj.is_alias else obj for name, obj in objects.items()}
    placed = {name for _, names in _SECTIONS for name in names}
    sections = [
        *_SECTIONS,
        (KINDS, tuple(name for name in exported if name.isupper())),
        (ERRORS, tuple(name for name in exported if name not in placed and not name.isupper())),
    ]
    parts = [_HEAD]
    for title, names in sections:
        parts.append(f"## {title}\n")
        if title == KINDS:
            parts.append("`Resource`s that are often wanted; any other is made by its constructor.\n")
            parts.append(", ".join(f"`{name}`" for name in names) + "\n")
            continue
        for name in names:
            parts += _described(objects[name])
    return "\n".join(parts)


def _described(obj: griffe.Object) -> Iterator[str]:
    yield f"### {obj.name}\n"
    yield f"```python\n{_signature(obj)}\n```\n"
    yield from _prose(obj)
    if not isinstance(obj, griffe.Class):
        return
    for name, member in obj.members.items():
        if (
            name.startswith("_")
            or not member.has_docstring
            or not isinstance(member, griffe.Function | griffe.Attribute)
        ):
            continue
        yield f"#### {obj.name}.{name}\n"
        yield f"```python\n{_signature(member)}\n```\n"
        yield from _prose(member)


def _signature(obj: griffe.Object) -> str:
    match obj:
        case griffe.Class():
            bases = f"({', '.join(str(base) for base in obj.bases)})" if obj.bases else ""
            made = obj.members.get("__init__")
            parameters = made.parameters if isinstance(made, griffe.Function) else obj.parameters
            return f"class {obj.name}{bases}" + (f"\n\n{obj.name}{_listed(parameters)}" if len(parameters) else "")
        case griffe.Function():
            returns = f" -> {obj.returns}" if obj.returns is not None else ""
            start = "async def" if "async" in obj.labels else "def"
            return f"{start} {obj.name}{_listed(obj.parameters)}{returns}"
        case griffe.Attribute():
            kind = f": {obj.annotation}" if obj.annotation is not None else ""
            value = f" = {obj.value}" if obj.value is not None and "property" not in obj.labels else ""
            return f"{obj.name}{kind}{value}"
        case _:
            return str(obj.name)


def _listed(parameters: griffe.Parameters) -> str:
    """Parameters as they are written, on one line where that is short."""
    shown: list[str] = []
    starred = False
    for each in parameters:
        if each.name in {"self", "cls"}:
            continue
        if each.kind is griffe.ParameterKind.keyword_only and not starred:
            starred = True
            shown.append("*")
        shown.append(_shown(each))
    line = ", ".join(shown)
    return f"({line})" if len(line) < 90 else "(\n    " + ",\n    ".join(shown) + ",\n)"


def _shown(each: griffe.Parameter) -> str:
    kind = f": {each.annotation}" if each.annotation is not None else ""
    if each.kind is griffe.ParameterKind.var_positional:
        return f"*{each.name}{kind}"
    if each.default is None:
        return f"{each.name}{kind}"
    # What is made anew for each object has no value to be shown.
    default = "..." if "lambda" in str(each.default) else each.default
    return f"{each.name}{kind} = {default}" if kind else f"{each.name}={default}"


def _prose(obj: griffe.Object) -> Iterator[str]:
    if obj.docstring is None:
        return
    for section in obj.docstring.parsed:
        match section:
            case griffe.DocstringSectionText():
                yield f"{_marked(section.value)}\n"
            case griffe.DocstringSectionReturns():
                yield "Returns: " + " ".join(_line(each.description) for each in section.value) + "\n"
            case griffe.DocstringSectionRaises():
                yield "Raises:\n"
                yield "\n".join(f"- `{each.annotation}`: {_line(each.description)}" for each in section.value) + "\n"
            case griffe.DocstringSectionParameters() | griffe.DocstringSectionAttributes():
                title = "Arguments" if isinstance(section, griffe.DocstringSectionParameters) else "Attributes"
                yield f"{title}:\n"
                yield "\n".join(f"- `{each.name}`: {_line(each.description)}" for each in section.value) + "\n"
            case _:
                raise TypeError(f"{obj.path}: a docstring has a section of an unknown kind, {section.kind}")


def _line(text: str) -> str:
    return _marked(" ".join(text.split()))


def _marked(text: str) -> str:
    """Code as Markdown marks it."""
    return text.replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
