"""What is personal data or a secret, by shape, length and checksum; and what only looks like it."""

import string
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.detectors.contact import emails, phones
from gateway.rules.detectors.finding import Detector
from gateway.rules.detectors.network import addresses
from gateway.rules.detectors.payment import cards, ibans, is_card
from gateway.rules.detectors.secret import secrets
from gateway.rules.redaction import DETECTORS, Redactor
from gateway.services.tokens import new_secret
from protocol.ids import IdPrefix, make_id


def found(find: Detector, text: str) -> list[str]:
    return [text[one.start : one.end] for one in find(text)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("write to Ada.Lovelace+notes@mail.example.co.uk.", "Ada.Lovelace+notes@mail.example.co.uk"),
        ("<ada@example.org>", "ada@example.org"),
        ("mailto:ada@xn--mnchen-3ya.de?subject=hi", "ada@xn--mnchen-3ya.de"),
        ("ünal@münchen.example", "ünal@münchen.example"),
        ("ada@example.org,bob", "ada@example.org"),
    ],
)
def test_e_mail_addresses(text: str, address: str) -> None:
    assert found(emails, text) == [address]


@pytest.mark.parametrize(
    "text", ["npm i left-pad@1.3.0", "@ada", "user@localhost", "a @ b.org", "ada@-x.org", "@@@", "x@y.z"]
)
def test_what_has_an_at_sign_and_is_no_address(text: str) -> None:
    assert found(emails, text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("call +493012345678 now", "+493012345678"),
        ("call +49 (30) 1234-5678 now", "+49 (30) 1234-5678"),
        ("call +1 415 555 2671 10:30", "+1 415 555 2671"),
        ("at +44 20 7946 0958, twice", "+44 20 7946 0958"),
        ("0049 30 1234567", "0049 30 1234567"),
        ("(415) 555-2671", "(415) 555-2671"),
        ("415-555-2671", "415-555-2671"),
        ("1.415.555.2671", "1.415.555.2671"),
        ("Tel. 030 12345678!", "030 12345678"),
        ("0171/1234567", "0171/1234567"),
        ("020 7946 0958", "020 7946 0958"),
        ("01 23 45 67 89", "01 23 45 67 89"),
    ],
)
def test_telephone_numbers(text: str, number: str) -> None:
    assert found(phones, text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T10:00:00+02:00",
        "01.02.2024 12:30",
        "05/06/2024 1015",
        "order 4155552671",
        "+1 415 555",  # too short for its country
        "+999 12345678",  # nobody has that calling code
        "+123456789012345678",  # too long for anybody
        "1,000,000.00",
        "1763740000000",
        "0.0012345678901",
        "10-20-30 40",
        "v1.234.567.8901",
    ],
)
def test_numbers_that_nobody_can_call(text: str) -> None:
    assert found(phones, text) == []


@pytest.mark.parametrize(
    ("text", "iban"),
    [
        ("DE89370400440532013000", "DE89370400440532013000"),
        ("to DE89 3704 0044 0532 0130 00 and more", "DE89 3704 0044 0532 0130 00"),
        ("GB82 WEST 1234 5698 7654 32.", "GB82 WEST 1234 5698 7654 32"),
        ("no9386011117947", "no9386011117947"),
        ("MT84MALT011000012345MTLCAST001S", "MT84MALT011000012345MTLCAST001S"),
    ],
)
def test_ibans(text: str, iban: str) -> None:
    assert found(ibans, text) == [iban]


@pytest.mark.parametrize(
    "text",
    [
        "DE88370400440532013000",  # its check is wrong
        "DE8937040044053201300",  # too short
        "DE893704004405320130001",  # too long
        "ZZ89370400440532013000",
        "xDE89370400440532013000",
    ],
)
def test_what_is_no_iban(text: str) -> None:
    assert found(ibans, text) == []


@pytest.mark.parametrize(
    ("text", "card"),
    [
        ("4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("card=4111111111111111;", "4111111111111111"),
        ("5555-5555-5555-4444", "5555-5555-5555-4444"),
        ("3782 822463 10005", "3782 822463 10005"),
        ("6011111111111117", "6011111111111117"),
        ("30569309025904", "30569309025904"),
        ("3530111333300000", "3530111333300000"),
        ("items 12 4111 1111 1111 1111", "4111 1111 1111 1111"),
        ("2223003122003222", "2223003122003222"),
    ],
)
def test_card_numbers(text: str, card: str) -> None:
    assert found(cards, text) == [card]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # Luhn
        "1234567812345670",  # nobody issues them
        "411111111111111",  # a digit is missing
        "0.4111111111111111",
        "x4111111111111111",
        "4111111111111111ms",
        "41111111111111110000000",
        "550e8400-e29b-41d4-a716-446655440000",
        "a-4111111111111111",
        "41 11 11 11 11 11 11 11",
        "1763740000000",
    ],
)
def test_numbers_that_are_no_cards(text: str) -> None:
    assert found(cards, text) == []


@given(st.text(alphabet=string.digits, min_size=12, max_size=18))
def test_one_of_ten_last_digits_makes_a_card_at_most(digits: str) -> None:
    assert sum(is_card(digits + last) for last in string.digits) <= 1


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("from 203.0.113.7:443", "203.0.113.7"),
        ("http://10.0.0.1/", "10.0.0.1"),
        ("2001:db8::1.", "2001:db8::1"),
        ("[2001:db8:0:0:0:0:0:1]:80", "2001:db8:0:0:0:0:0:1"),
        ("at fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.33", "::ffff:192.0.2.33"),
    ],
)
def test_ip_addresses(text: str, address: str) -> None:
    assert found(addresses, text) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "v1.2.3.4",
        "version 1.2.3.4",
        "Release: 10.0.0.1",
        "Chrome/120.0.0.0",
        "1.2.3.4.5",
        "1.2.3",
        "256.1.1.1",
        "127.0.0.1",
        "0.0.0.0",
        "::1",
        "12:30:45",
        "00:1a:2b:3c:4d:5e",
        "std::vector",
        "dead::beef",
        "SHA256:47DEQpj8HBSa",
    ],
)
def test_versions_and_times_are_no_addresses(text: str) -> None:
    assert found(addresses, text) == []


@pytest.mark.parametrize(
    "secret",
    [
        new_secret(),
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "a1" * 18,
        "github_pat_" + "11ABCDEFG0" * 4,
        "xoxb-" + "123456789012-1234567890123-abcdefghijklmnop",
        "xapp-" + "1-A111-222-abcdef0123456789",
        "https://hooks.slack.com/services/" + "T000/B000/XXXXXXXXXXXX",
        "123456789:" + "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawx"[:35],
        "MTk4NjIyNDgzNDcxOTI1MjQ4." + "Cl2FMQ." + "ZnCjm1XVW7vRze4b7Cq4se7kKWs",
        "sk-" + "proj-a1B2c3D4e5F6g7H8i9J0",
        "sk-ant-" + "api03-a1B2c3D4e5F6g7H8i9J0",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\nBCIEIA==\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA",
    ],
    ids=lambda secret: secret[:6],  # the first is another one each time, and a case has one name
)
def test_what_gives_access(secret: str) -> None:
    masked = Redactor(("secret",)).text(f"it is {secret}")
    assert masked in ("it is [secret]", "it is https://[secret]")


@pytest.mark.parametrize(
    "text",
    [
        "sk-loading-indicator-three-bounce",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "ratio 123456:abc",
        "tgate_",
        "eyJ is how many tokens begin",
    ],
)
def test_what_only_begins_like_a_secret(text: str) -> None:
    assert found(secrets, text) == []


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10), st.sampled_from(list(IdPrefix)))
def test_our_own_ids_are_left_alone(now_ms: int, entropy: bytes, prefix: IdPrefix) -> None:
    text = make_id(prefix, now_ms, entropy)
    assert Redactor().text(text) == text


@given(st.uuids(), st.binary(min_size=32, max_size=32), st.datetimes())
def test_uuids_hashes_and_dates_are_left_alone(uuid: object, digest: bytes, moment: object) -> None:
    for text in (str(uuid), digest.hex(), moment.isoformat(), str(moment)):  # type: ignore[attr-defined]
        assert Redactor().text(text) == text


ADVERSARIAL = [
    *("1", "1 ", "1-", "+1", "a@", "@", "a@a.", "1.", "f:", "::", "00 ", "030 12", "0171 1234 ", "1:", "["),
    *("eyJ", "eyJaaaaaaaa.", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "sk-a1", "tgate_", "xoxb-", "A"),
    *("DE89", "DE89 3704 ", "4111 1111 1111 1111 ", "10.0.0.1", "+49 30 1234567 ", "[email]", "Bearer "),
    *("a" * 64 + "@", "MMMM.", "aws_secret_access_key=", "( ", "a@b.com"),
]


@pytest.mark.parametrize("seed", ADVERSARIAL, ids=lambda seed: seed[:24])
def test_four_times_the_text_takes_four_times_as_long(seed: str) -> None:
    """Measured in CPU time of this thread, the best of three: quadratic would be sixteen."""
    redact = Redactor().counted
    whole = (seed * 100_000)[:100_000]
    assert spent(redact, whole) < 9 * spent(redact, whole[:25_000]) + 0.002


def spent(work: Callable[[str], object], text: str) -> float:
    times = []
    for _ in range(3):
        begun = time.thread_time()
        work(text)
        times.append(time.thread_time() - begun)
    return min(times)


def test_every_kind_has_its_detector() -> None:
    assert set(DETECTORS) == {"email", "phone", "iban", "card", "ip", "secret"}
