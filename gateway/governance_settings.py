"""What governs a gateway beside its policies, as it stands in the configuration: organizations, budgets, the audit log,
retention, personal data. Shapes and their checks only; the sentences under the fields are the documentation.
"""

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gateway.agent_settings import Address, Section
from gateway.patterns import checked_detector
from gateway.policy_settings import Pattern
from protocol import limits


class OrganizationSettings(Section):
    """An organization beside the default one. What belongs to one is never seen from another."""

    id: Annotated[str, Field(pattern=r"^org_[a-z0-9][a-z0-9_-]{0,31}$")]
    """Its id, for good."""
    name: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
    """How people see it."""


class BudgetSettings(Section):
    """How much of something may be used; `[[budgets]]`. Every key that is given narrows what is counted."""

    name: Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS)]
    """How it is named in messages."""
    of: Literal["messages", "runs", "tokens", "microusd", "concurrent"]
    """What is counted; microusd is money in millionths of a US dollar, concurrent counts runs at the same time."""
    limit: Annotated[int, Field(ge=0, le=10**15)]
    """How much of it."""
    per: Literal["hour", "day", "month"] = "day"
    """In which time, by UTC; means nothing for concurrent."""
    each: Literal["organization", "agent", "person", "room", "token"] = "organization"
    """Whether all share it, or each agent, person, room or token has its own."""
    agent: tuple[Pattern, ...] = ()
    """Only for these agents."""
    person: tuple[Pattern, ...] = ()
    """Only for these people."""
    room: tuple[Pattern, ...] = ()
    """Only for these rooms, `NETWORK:ID`."""
    warn_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The part of the limit at which people are warned, once per time."""

    @model_validator(mode="after")
    def _lets_something_run(self) -> Self:
        if self.of == "concurrent" and self.limit == 0:
            raise ValueError(
                "a limit of 0 would keep every run waiting for ever: `threadgate agents stop` says why"
            )
        return self


class AnchorSettings(Section):
    """Where checkpoints are kept out of reach of who controls the store; `[[audit.anchors]]`: `path` or `url`."""

    path: Path | None = None
    """A file that checkpoints are appended to, better on another disk."""
    url: Address | None = None
    """Where they are sent by POST."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give either path or url")
        return self


class SinkSettings(Section):
    """Where entries of the audit log are sent as they come, at least once each; `[[audit.sinks]]`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    """Its name, for its place in the log and for metrics."""
    kind: Literal["file", "syslog", "http"]
    """file: one line per entry · syslog: RFC 5424 over TCP · http: POST of lines."""
    format: Literal["ndjson", "ocsf"] = "ndjson"
    """How an entry is written."""
    path: Path | None = None
    """Of a file."""
    address: Annotated[str, Field(pattern=r"^[^\s:]+:\d{1,5}$")] | None = None
    """HOST:PORT of syslog."""
    tls: bool = False
    """Whether syslog is spoken over TLS (RFC 5425), with a certificate that the system's authorities signed."""
    url: Address | None = None
    """Of http."""
    headers: dict[str, SecretStr] = {}  # noqa: RUF012 - the model copies it
    """Headers of every request, by reference."""
    spool_max: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Entries that may wait for a sink that does not answer, before the gateway says so. None is dropped."""

    @model_validator(mode="after")
    def _target(self) -> Self:
        needed = {"file": self.path, "syslog": self.address, "http": self.url}[self.kind]
        if needed is None:
            wants = {"file": "path", "syslog": "address", "http": "url"}[self.kind]
            raise ValueError(f"a sink of kind {self.kind} needs {wants}")
        return self


class AuditSettings(Section):
    """The audit log."""

    signing_key: Path | None = None
    """The Ed25519 key that signs checkpoints, a file of its own; `audit.key` beside the store unless told, made at the
    first start. Keep a copy, and its public half elsewhere."""
    origin: Annotated[str, Field(max_length=200)] = ""
    """The log's name in checkpoints; `threadgate/LOG_ID` unless told."""
    checkpoint_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    """A checkpoint is made when so many entries came since the last one …"""
    checkpoint_s: Annotated[float, Field(gt=0, le=86_400)] = 10.0
    """… or so long after the first of them."""
    anchors: tuple[AnchorSettings, ...] = ()
    """Where checkpoints go."""
    sinks: tuple[SinkSettings, ...] = ()
    """Where entries go."""

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [sink.name for sink in self.sinks]
        if len(set(names)) != len(names):
            raise ValueError("sinks: every name may occur once")
        return self


class RetentionSettings(Section):
    """How long things are kept, in days; without a number, for ever. A legal hold keeps whatever it covers."""

    messages_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """Content of conversations: threads whose last change is older are deleted."""
    files_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """Bytes of files; messages keep their names."""
    journal_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """What runs did, step by step."""
    usage_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """What was used."""
    audit_content_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """Content behind the commitments of audit entries; the entries themselves stay."""


class DetectorSettings(Section):
    """A pattern of personal data of your own; `[[privacy.patterns]]`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    """What is put in place of what it finds: `[NAME]`."""
    pattern: Annotated[str, Field(max_length=500), AfterValidator(checked_detector)]
    """A regular expression; one that could take long over some text is refused. Repetitions need a bound."""


DetectedKind = Literal["email", "phone", "iban", "card", "ip", "secret"]
"""What the gateway finds by itself."""


class PrivacySettings(Section):
    """Personal data in what leaves the gateway."""

    logs: bool = True
    """Whether personal data and secrets are masked in the gateway's own log."""
    exports: bool = True
    """Whether they are masked in exports."""
    models: bool = False
    """Whether they are masked in what agents read. What they answer is not changed back."""
    mode: Literal["mask", "hash", "drop"] = "mask"
    """What is put in place of it, in exports and in what agents read: mask `[email]` · hash `[email:1f2e3d4c]`, the
    same for the same value in one organization · drop nothing. In the log it is always a mask."""
    detect: tuple[DetectedKind, ...] = get_args(DetectedKind)
    """What is looked for."""
    patterns: tuple[DetectorSettings, ...] = ()
    """Patterns of your own, looked for besides."""

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [*get_args(DetectedKind), "withheld", *(one.name for one in self.patterns)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"patterns: the name {twice[0]!r} is taken")
        return self
