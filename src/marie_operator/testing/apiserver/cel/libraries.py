"""Everything that rules may call, and what they may call on a real server alone."""

from collections.abc import Callable, Mapping
from typing import Final

from marie_operator.testing.apiserver.cel import collections, conversions, kubernetes, standard, strings
from marie_operator.testing.apiserver.cel.functions import FUNCTIONS
from marie_operator.testing.apiserver.cel.values import parsed_duration, parsed_timestamp

__all__ = ["FUNCTIONS", "LIBRARIES", "LITERALS", "MISSING"]

LIBRARIES = (standard, conversions, strings, collections, kubernetes)
"""The modules that fill ``FUNCTIONS``."""

MISSING: Final = frozenset(
    [
        *("url", "isURL", "getScheme", "getHost", "getHostname", "getPort", "getEscapedPath", "getQuery"),
        *("semver", "isSemver", "major", "minor", "patch"),
        *("format", "strings.quote", "validate", "format.named"),
        *(
            f"format.{name}"
            for name in (
                *("dns1123Label", "dns1123Subdomain", "dns1035Label", "dns1123LabelPrefix", "dns1123SubdomainPrefix"),
                *("dns1035LabelPrefix", "qualifiedName", "labelValue", "uri", "uuid", "byte", "date", "datetime"),
            )
        ),
    ]
)
"""What Kubernetes has and this server has not: a rule that names it is refused."""

LITERALS: Final[Mapping[str, Callable[[str], bool]]] = {
    "duration": lambda text: parsed_duration(text) is not None,
    "timestamp": lambda text: parsed_timestamp(text) is not None,
    "matches": standard.is_pattern,
}
"""What a text that is written out must be, by the function that takes it."""
