"""Quantities, addresses and networks."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_UP, Decimal
from typing import Any, cast

from marie_operator.testing.apiserver.cel.functions import function
from marie_operator.testing.apiserver.cel.values import INT_MAX, Failure, IpAddress, Network, Quantity, no_overload
from marie_operator.testing.apiserver.strategies import quantity

_EXACT = 10**18
"""Larger amounts are no longer counted in 64 bits."""
_FORM = re.compile(r"[+-]?[0-9.]+[eEinumkKMGTP]*[-+]?[0-9]*")


def parsed(text: str) -> Decimal | None:
    """What a quantity amounts to, to the billionth; None when it is none."""
    try:
        amount, _ = quantity.parse(text)
    except quantity.QuantityError:
        return None
    rounded = amount.quantize(Decimal("1e-9"), rounding=ROUND_UP) if abs(amount) <= INT_MAX else amount
    return max(min(rounded, Decimal(INT_MAX)), Decimal(-INT_MAX))


@function("quantity(string): Quantity")
def _quantity(text: str) -> Quantity:
    amount = parsed(text)
    if amount is None:
        raise Failure(_why(text))
    return Quantity(amount)


def _why(text: str) -> str:
    return "unable to parse quantity's suffix" if _FORM.fullmatch(text) else quantity.MALFORMED


@function("isQuantity(string): bool")
def _is_quantity(text: str) -> bool:
    return parsed(text) is not None


@function("sign(Quantity): int")
def _sign(given: Quantity) -> int:
    return (given.amount > 0) - (given.amount < 0)


@function("Quantity.isGreaterThan(Quantity): bool")
def _is_greater(one: Quantity, other: Quantity) -> bool:
    return one.amount > other.amount


@function("Quantity.isLessThan(Quantity): bool")
def _is_less(one: Quantity, other: Quantity) -> bool:
    return one.amount < other.amount


@function("Quantity.compareTo(Quantity): int")
def _compared(one: Quantity, other: Quantity) -> int:
    return (one.amount > other.amount) - (one.amount < other.amount)


@function("Quantity.asApproximateFloat(): double")
def _as_float(given: Quantity) -> float:
    return float(given.amount)


@function("Quantity.isInteger(): bool")
def _is_integer(given: Quantity) -> bool:
    return given.amount == given.amount.to_integral_value() and abs(given.amount) < _EXACT


@function("Quantity.asInteger(): int")
def _as_integer(given: Quantity) -> int:
    if not _is_integer(given):
        raise Failure("cannot convert value to integer")
    return int(given.amount)


@function("Quantity.add(Quantity): Quantity", "Quantity.add(int): Quantity")
def _added(one: Quantity, other: Any) -> Quantity:
    return Quantity(one.amount + (other.amount if isinstance(other, Quantity) else Decimal(other)))


@function("Quantity.sub(Quantity): Quantity", "Quantity.sub(int): Quantity")
def _subtracted(one: Quantity, other: Any) -> Quantity:
    return Quantity(one.amount - (other.amount if isinstance(other, Quantity) else Decimal(other)))


# Addresses.


def _address(text: str) -> IpAddress | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if _peculiar(found) else found


def _peculiar(address: IpAddress) -> str:
    """Why an address is not taken although it is one."""
    if not isinstance(address, ipaddress.IPv6Address):
        return ""
    if address.scope_id is not None:
        return "with zone value is not allowed"
    return "is not allowed" if address.ipv4_mapped is not None else ""


def _no_address(text: str) -> str:
    """Why a text is no address."""
    try:
        why = _peculiar(ipaddress.ip_address(text))
    except ValueError:
        why = ""
    if why:
        return f'IP{"v4-mapped IPv6" if why == "is not allowed" else ""} address "{text}" {why}'
    problem = "unable to parse IP"
    parts = text.split(".")
    if len(parts) > 1 and all(part.isdigit() for part in parts):
        if any(len(part) > 1 and part.startswith("0") for part in parts):
            problem = "IPv4 field has octet with leading zero"
        elif any(int(part) > 255 for part in parts):
            problem = "IPv4 field has value >255"
        else:
            problem = f"IPv4 address too {'short' if len(parts) < 4 else 'long'}"
    return f'IP Address "{text}" parse error during conversion from string: ParseAddr("{text}"): {problem}'


@function("ip(string): IP")
def _ip(text: str) -> IpAddress:
    found = _address(text)
    if found is None:
        raise Failure(_no_address(text))
    return found


@function("isIP(string): bool")
def _is_ip(text: str) -> bool:
    return _address(text) is not None


@function("ip.isCanonical(string): bool")
def _is_canonical(text: str) -> bool:
    return str(_ip(text)) == text


@function("string(IP): string")
def _ip_text(address: IpAddress) -> str:
    return str(address)


@function("IP.family(): int")
def _family(address: IpAddress) -> int:
    return address.version


def _is_global_unicast(address: IpAddress) -> bool:
    limited = address == ipaddress.IPv4Address("255.255.255.255")
    return not (
        limited or address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    )


def _is_link_local_multicast(address: IpAddress) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address in ipaddress.IPv4Network("224.0.0.0/24")
    return address.is_multicast and address.packed[1] & 0x0F == 2


_QUESTIONS: Mapping[str, Callable[[IpAddress], bool]] = {
    "isUnspecified": lambda address: address.is_unspecified,
    "isLoopback": lambda address: address.is_loopback,
    "isLinkLocalUnicast": lambda address: address.is_link_local,
    "isLinkLocalMulticast": _is_link_local_multicast,
    "isGlobalUnicast": _is_global_unicast,
}
for _name, _asked in _QUESTIONS.items():
    function(f"IP.{_name}(): bool")(_asked)


# Networks.


def _network(text: str) -> Network | None:
    address, slash, bits = text.partition("/")
    if not slash or re.fullmatch(r"0|[1-9]\d{0,2}", bits) is None or _address(address) is None:
        return None
    try:
        return ipaddress.ip_interface(text)
    except ValueError:
        return None


def _no_network(text: str) -> str:
    """Why a text is no network."""
    context = "network address parse error during conversion from string"
    address, slash, bits = text.partition("/")
    parsed_as = f'{context}: {context}: netip.ParsePrefix("{text}")'
    if not slash:
        return f"{parsed_as}: no '/'"
    problem = _no_address(address) if _address(address) is None else ""
    if "not allowed" in problem:
        return f'{context}: IPv4-mapped IPv6 address "{text}" is not allowed'
    if problem:
        return f"{parsed_as}: {problem.rpartition('from string: ')[2]}"
    if re.fullmatch(r"0|[1-9]\d{0,2}", bits) is None:
        return f'{parsed_as}: bad bits after slash: "{bits}"'
    return f"{parsed_as}: prefix length out of range"


@function("cidr(string): CIDR")
def _cidr(text: str) -> Network:
    found = _network(text)
    if found is None:
        raise Failure(_no_network(text))
    return found


@function("isCIDR(string): bool")
def _is_cidr(text: str) -> bool:
    return _network(text) is not None


@function("string(CIDR): string")
def _cidr_text(network: Network) -> str:
    return network.with_prefixlen


@function("CIDR.containsIP(string): bool", "CIDR.containsIP(IP): bool")
def _contains_ip(network: Network, address: Any) -> bool:
    found = _address(address) if isinstance(address, str) else cast("IpAddress", address)
    if found is None:
        raise no_overload()
    return found in network.network


@function("CIDR.containsCIDR(string): bool", "CIDR.containsCIDR(CIDR): bool")
def _contains_cidr(network: Network, other: Any) -> bool:
    inner = _cidr(other) if isinstance(other, str) else cast("Network", other)
    if network.version != inner.version:
        return False
    return network.network.prefixlen <= inner.network.prefixlen and inner.network.network_address in network.network


@function("CIDR.ip(): IP")
def _cidr_ip(network: Network) -> IpAddress:
    return network.ip


@function("CIDR.prefixLength(): int")
def _prefix_length(network: Network) -> int:
    return network.network.prefixlen


@function("CIDR.masked(): CIDR")
def _masked(network: Network) -> Network:
    return ipaddress.ip_interface(network.network.with_prefixlen)
