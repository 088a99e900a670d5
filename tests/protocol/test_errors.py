"""Error kinds, faults and close codes: every kind has a status, every code a verdict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.errors import (
    HTTP_STATUS,
    RETRYABLE,
    CloseCode,
    ErrorKind,
    Fault,
    RetryVerdict,
    retry_verdict,
)


@pytest.mark.parametrize("kind", ErrorKind)
def test_each_kind_has_a_status_and_says_whether_to_retry(kind: ErrorKind) -> None:
    fault = Fault(kind, "no")

    assert 400 <= fault.http_status <= 599
    assert fault.code == errors.APPLICATION_ERROR
    assert fault.data == {"kind": kind.value, "retryable": kind in RETRYABLE}


def test_kinds_and_close_codes_are_those_of_the_contract() -> None:
    assert {kind.value for kind in ErrorKind} == {
        "unauthorized",
        "forbidden",
        "not_found",
        "conflict",
        "idempotency_conflict",
        "rate_limited",
        "busy",
        "budget_exceeded",
        "approval_required",
        "policy_denied",
        "expired",
        "too_large",
        "unavailable",
        "pairing_required",
        "invalid_state",
        "internal",
    }
    stop = {4000, 4001, 4002, 4003, 4005, 4006, 4007, 4008}
    assert set(CloseCode) == stop | {4100, 4101, 4103, 4104, 4105, 4106} | {4200, 4201, 4202}


def test_no_status_is_left_over() -> None:
    assert set(HTTP_STATUS) == set(ErrorKind)


@pytest.mark.parametrize(
    ("fault", "code", "kind", "status"),
    [
        (errors.parse_error("x"), -32700, "parse_error", 400),
        (errors.invalid_request("x"), -32600, "invalid_request", 400),
        (errors.method_not_found("x"), -32601, "method_not_found", 404),
        (errors.invalid_params([]), -32602, "invalid_params", 422),
    ],
)
def test_protocol_faults(fault: Fault, code: int, kind: str, status: int) -> None:
    assert (fault.code, fault.data["kind"], fault.http_status) == (code, kind, status)
    assert fault.data["retryable"] is False


def test_a_fault_carries_only_what_was_said() -> None:
    fault = Fault(ErrorKind.FORBIDDEN, "no", hint="ask", retry_after_ms=0, scope="run.read")

    assert fault.data == {
        "kind": "forbidden",
        "retryable": False,
        "retry_after_ms": 0,
        "hint": "ask",
        "scope": "run.read",
    }
    assert str(fault) == "no"


def test_a_long_method_name_is_cut() -> None:
    assert len(errors.method_not_found("m" * 100_000).message) < 120


@given(st.integers())
def test_any_close_code_has_the_verdict_of_its_hundred(code: int) -> None:
    expected = {40: RetryVerdict.STOP, 42: RetryVerdict.SOON}.get(code // 100, RetryVerdict.BACKOFF)

    assert retry_verdict(code) is expected


@pytest.mark.parametrize("code", CloseCode)
def test_our_close_codes_are_in_the_private_range(code: CloseCode) -> None:
    assert code // 100 in (40, 41, 42)


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 4999])
def test_codes_of_the_network_mean_back_off(code: int) -> None:
    assert retry_verdict(code) is RetryVerdict.BACKOFF
