"""Which addresses of a network a tool may connect to, and which hosts: the rule against forged requests. Pure.

A host name proves nothing, so the rule is about the address that is connected to. Sources: the IANA registries of
special-purpose IPv4 and IPv6 addresses (RFC 6890; read 2026-11).
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_PRIVATE: Final = {
    "a private address": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    "a loopback address": ("127.0.0.0/8", "::1/128"),
    "a shared address": ("100.64.0.0/10",),
}
"""What `allow_private` opens."""
_CLOSED: Final = {
    "an unspecified address": ("0.0.0.0/8", "::/128"),
    "a link-local address": ("169.254.0.0/16", "fe80::/10"),
    "a multicast address": ("224.0.0.0/4", "ff00::/8"),
    "a documentation address": (
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8::/32",
        "3fff::/20",
    ),
    "a benchmarking address": ("198.18.0.0/15",),
    "a protocol address": ("192.0.0.0/24", "2001::/23"),
    "a relay address": ("192.88.99.0/24", "192.52.193.0/24", "2002::/16", "64:ff9b::/96", "64:ff9b:1::/48"),
    "an IPv4 address in IPv6": ("::ffff:0:0/96", "::/96"),
    "a reserved address": ("240.0.0.0/4",),
}
"""What nothing opens: link-local has the metadata services of clouds, and a relay or an embedded IPv4 address leads to
a second address that nobody has judged."""
_GLOBAL_V6: Final = IPv6Network("2000::/3")
"""All of IPv6 that IANA has ever given out as global unicast; the rest is special or not assigned."""
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
"""Interface identifiers that carry an IPv4 address (RFC 5214, 6.1)."""

_Network = IPv4Network | IPv6Network


def _networks(table: dict[str, tuple[str, ...]]) -> list[tuple[_Network, str]]:
    made = [(_network(text), name) for name, texts in table.items() for text in texts]
    return sorted(made, key=lambda one: one[0].prefixlen, reverse=True)


def _network(text: str) -> _Network:
    return IPv6Network(text) if ":" in text else IPv4Network(text)


_PRIVATE_NETWORKS: Final = _networks(_PRIVATE)
_CLOSED_NETWORKS: Final = _networks(_CLOSED)


def refused(address: str, allow_private: bool = False) -> str | None:
    """What speaks against connecting to this address (`a private address`); None when nothing does.

    `address` is numeric, perhaps with a scope (`fe80::1%eth0`). Whatever cannot be read is refused.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return "no address"
    if private := _within(ip, _PRIVATE_NETWORKS):
        return None if allow_private else private
    if closed := _within(ip, _CLOSED_NETWORKS):
        return closed
    if isinstance(ip, IPv6Address):
        if ip not in _GLOBAL_V6:
            return "a reserved address"
        if (int(ip) >> 32) & 0xFFFFFFFF in _ISATAP:
            return "a relay address"
    return None


def _within(ip: IPv4Address | IPv6Address, networks: Sequence[tuple[_Network, str]]) -> str | None:
    number = int(ip)
    for network, name in networks:
        if network.version == ip.version and number & int(network.netmask) == int(network.network_address):
            return name
    return None


_HOST: Final = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]+")


def host_problem(pattern: str) -> str | None:
    """Why this is no entry of an allowlist; None when it is one."""
    if _HOST.fullmatch(_plain(pattern)):
        return None
    return f"{pattern!r} is neither a host name nor *.NAME"


def is_allowed(host: str, patterns: Sequence[str]) -> bool:
    """Whether the allowlist names this host: exactly, or as `*.example.org`, which means below that name only."""
    host = _plain(host)
    for pattern in map(_plain, patterns):
        if host == pattern or (
            pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[2:]
        ):
            return True
    return False


def _plain(host: str) -> str:
    return host.lower().rstrip(".").removeprefix("[").removesuffix("]")
