"""Networks a credential may come from: CIDR ranges, and whether an address is in one. Pure.

What cannot be read admits nobody. An IPv4 address that came over an IPv6 socket (`::ffff:192.0.2.7`, RFC 4291 §2.5.5.2)
is the IPv4 address.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

RANGES_REMEMBERED: Final = 4_096
"""Answers and parsed sets of ranges that are kept, those used last: a client asks again and again from one address."""


def canonical_networks(given: Iterable[str]) -> tuple[str, ...]:
    """The ranges as they are stored, without repetition. Raises ValueError, which does not repeat what was given."""
    found: dict[str, None] = {}
    for number, text in enumerate(given):
        try:
            found[str(ip_network(text))] = None
        except ValueError:
            raise ValueError(
                f"Range {number + 1} is none: write it like 192.0.2.0/24 or 2001:db8::/32, "
                "without bits set behind the prefix"
            ) from None
    return tuple(found)


@lru_cache(maxsize=RANGES_REMEMBERED)
def admits(networks: tuple[str, ...], address: str | None) -> bool:
    """Whether who comes from `address` may; from everywhere when there are no ranges."""
    if not networks:
        return True
    if not address:
        return False
    try:
        peer = ip_address(
            address.partition("%")[0]
        )  # a scope id says which link, not which network (RFC 4007 §11)
    except ValueError:
        return False
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    return any(peer in network for network in _parsed(networks))


@lru_cache(maxsize=RANGES_REMEMBERED)
def _parsed(networks: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in networks)
