"""The gateway as a process: running or stopped, answering, and where it can be reached from."""

import errno
import http.client
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from channels.settings import DEFAULT_ORGANIZATION
from gateway import runtime_file
from gateway.doctor.channels import check_channels
from gateway.doctor.findings import Finding, error, ok, warning
from gateway.runtime_file import Runtime
from gateway.settings import LOOPBACK, Settings, organizations_of
from storage.files import LOCK_NAME, is_locked

ANSWER_S: Final = 5.0
"""A gateway that takes longer to say it is ready is not."""
SKEW_S: Final = 5.0
"""`Date` has whole seconds, and an answer takes time; tokens and signatures bear 120 s."""
YEARS: Final = range(2026, 2100)
"""Years in which this program can run; a dead clock says 1970 or 2036."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: dict[str, Any]
    skew_s: float


def check_process(data_dir: Path, settings: Settings | None) -> Iterator[Finding]:
    """Lock and runtime file agree, the gateway answers, or its port is free. Without settings, less."""
    owned = (data_dir / LOCK_NAME).exists() and is_locked(data_dir)
    running = runtime_file.read(data_dir)
    if owned and running is not None:
        yield from _check_answer(running)
        known = {DEFAULT_ORGANIZATION} if settings is None else organizations_of(settings)
        yield from check_channels(running, known)
    elif owned:
        yield warning(
            "process",
            f"{data_dir} is in use, but no gateway has said where it listens",
            "It is starting or stopping, or another threadgate command is at work: look again in a moment.",
        )
    else:
        if running is not None:
            yield warning(
                "process",
                f"{runtime_file.NAME} was left behind by a gateway that did not end in order",
                "The next start replaces it; nothing is lost.",
            )
        yield ok("process", "The gateway is stopped")
        if settings is not None:
            yield _check_port(settings)


def check_exposure(settings: Settings) -> Finding:
    """Who can reach the gateway."""
    if settings.host in LOOPBACK:
        return ok("exposure", f"It listens on {settings.host}: only this machine reaches it")
    hosts = "" if settings.allowed_hosts else " Set allowed_hosts to the names the proxy serves."
    return warning(
        "exposure",
        f"It listens on {settings.host}: other machines reach it without TLS",
        f"Make sure that only the proxy you declared (behind_tls_proxy) can.{hosts}",
    )


def check_clock() -> Finding:
    """Whether the clock can be right."""
    year = time.gmtime().tm_year
    if year not in YEARS:
        return error("clock", f"The clock says it is {year}", "Set the clock: tokens and schedules need it.")
    return ok("clock", f"The clock says {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC")


def _check_answer(running: Runtime) -> Iterator[Finding]:
    try:
        answer = _ask(running.url)
    except (OSError, http.client.HTTPException, ValueError) as failure:
        yield error(
            "ready",
            f"The gateway (pid {running.pid}) does not answer at {running.url}: {failure}",
            "Look into its log; restart it.",
        )
        return
    if answer.status == http.client.OK:
        yield ok("ready", f"The gateway (pid {running.pid}) is ready at {running.url}")
    else:
        missing = "; ".join(map(str, answer.body.get("missing", []))) or f"HTTP {answer.status}"
        yield error("ready", f"The gateway at {running.url} is not ready: {missing}", "Look into its log.")
    if abs(answer.skew_s) > SKEW_S:
        yield warning("clock", f"The gateway's clock is {answer.skew_s:+.0f} s off ours", "Set the clocks.")


def _ask(url: str) -> _Answer:
    # Not urllib.request: it would ask a proxy from the environment for an address of this machine.
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = json.loads(response.read())
        at = parsedate_to_datetime(response.headers["Date"]) if "Date" in response.headers else None
        skew_s = at.timestamp() - time.time() if at is not None else 0.0
        return _Answer(response.status, body if isinstance(body, dict) else {}, skew_s)
    finally:
        connection.close()


def _check_port(settings: Settings) -> Finding:
    if settings.port == 0:
        return ok("port", "A free port is taken at every start")
    problem = port_problem(settings.host, settings.port)
    if problem is None:
        return ok("port", f"Port {settings.port} of {settings.host} is free")
    if problem.errno == errno.EADDRINUSE:
        return error(
            "port",
            f"Port {settings.port} of {settings.host} is taken by another program",
            "Stop that program, or set another port.",
        )
    return error("port", f"{settings.host}:{settings.port}: {problem.strerror}", "Set another host or port.")


def port_problem(host: str, port: int) -> OSError | None:
    """Why nobody could listen there right now; None when one could."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as problem:
        return problem
    return None
