"""Networks a credential may come from."""

from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.networks import admits, canonical_networks

OFFICE = ("192.0.2.0/24", "2001:db8::/32")


def test_without_ranges_everybody_may() -> None:
    for address in ("192.0.2.7", "", None, "nonsense"):
        assert admits((), address)


@pytest.mark.parametrize(
    "address", ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7", "2001:db8::1", "2001:db8::1%eth0"]
)
def test_who_comes_from_a_range_may(address: str) -> None:
    assert admits(OFFICE, address)


@pytest.mark.parametrize(
    "address",
    [
        "192.0.3.0", "10.0.0.1", "::1", "::ffff:10.0.0.1", "2001:db9::1", "", None, "localhost", "192.0.2.7:80",
        "192.0.2.7, 10.0.0.1", "192.0.2.007", " 192.0.2.7",
    ],
)  # fmt: skip
def test_who_comes_from_elsewhere_or_cannot_be_read_may_not(address: str | None) -> None:
    assert not admits(OFFICE, address)


def test_ranges_are_stored_in_one_form_once() -> None:
    assert canonical_networks(["192.0.2.7", "2001:DB8:0::/32", "192.0.2.7/32"]) == (
        "192.0.2.7/32",
        "2001:db8::/32",
    )


@pytest.mark.parametrize(
    "given_", ["", "office", "192.0.2.1/24", "192.0.2.0/33", "0.0.0.0/-1", "192.0.2.0/24 10.0.0.0/8"]
)
def test_what_is_no_range_is_refused_and_not_repeated(given_: str) -> None:
    with pytest.raises(ValueError, match="Range 2 is none") as caught:
        canonical_networks(["10.0.0.0/8", given_])
    assert not given_ or given_ not in str(caught.value)


@given(
    networks=st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
            lambda pair: str(IPv4Network(pair, strict=False))
        ),
        min_size=1,
        max_size=4,
    ),
    address=st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number))),
)
def test_an_address_is_admitted_if_and_only_if_a_range_has_it(networks: list[str], address: str) -> None:
    expected = any(IPv4Address(address) in ip_network(network) for network in networks)
    assert admits(canonical_networks(networks), address) is expected
    assert admits(canonical_networks(networks), f"::ffff:{address}") is expected
