"""Which of the documents under a prefix a job takes."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from marie_operator.controllers.mariejob.source import Source


@dataclass(frozen=True, slots=True)
class Selection:
    """Globs on a key relative to the prefix, with the wildcards of the AWS command line's filters.

    ``*`` matches everything, slashes too; ``?`` one character; ``[a-c]`` and ``[!a-c]`` one of a set. Case matters.

    Attributes:
        include: a document that matches none of these is left out; without any, none is for that.
        exclude: a document that matches one of these is left out.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, source: Source, key: str) -> bool:
        """Whether the document of a key is one of the job's."""
        if not (self.include or self.exclude):
            return True
        name = source.relative(key)
        wanted = not self.include or any(fnmatchcase(name, pattern) for pattern in self.include)
        return wanted and not any(fnmatchcase(name, pattern) for pattern in self.exclude)
