"""The configuration: one model, from a TOML file and the environment (`THREADGATE_…`), validated as a whole.

The environment wins over the file. Nested keys use two underscores (`THREADGATE_RUNS__CONCURRENT=8`). A bad
value is reported with its key, where it came from and what is allowed. Channel settings are validated by the
channel that owns them; `channels` here only carries them.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as SettingsSourceError,
)

from channels.registry import SETTINGS_BY_KIND, ChannelSettings
from channels.settings import DEFAULT_ORGANIZATION
from gateway.agent_settings import AnyAgent, DemoSettings, RouteSettings, Section
from gateway.governance_settings import (
    AuditSettings,
    BudgetSettings,
    OrganizationSettings,
    PrivacySettings,
    RetentionSettings,
)
from gateway.policy_settings import PolicySettings
from gateway.settings_problems import Problem, did_you_mean, problems_of
from protocol import limits

ENV_PREFIX = "THREADGATE_"
CLIENT_VARIABLES = frozenset({"CONFIG", "ORG", "TOKEN", "URL"})
"""Variables of the same prefix that the command line reads, not the gateway."""
CRASH_VARIABLE = "CRASH_AT"
"""For crash tests alone, read and guarded by `crash_points.py`; not offered to anybody."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class SettingsError(Exception):
    """The configuration cannot be used: `problems` names every key that is wrong and what is allowed."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        return "\n  ".join(["The configuration cannot be used:", *self.problems])


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration came from, so that it can be read again. `path` is absolute and may not exist.

    `directory` is where relative paths in it begin: beside the file, or where the gateway was started without one.
    """

    path: Path
    directory: Path
    overrides: Mapping[str, Any]
    environ: Mapping[str, str]

    def read(self) -> "Settings":
        """The configuration as it is now. Raises SettingsError. Reads a file: may block."""
        return load(self.path, self.overrides, self.environ)


class RunSettings(Section):
    """How runs are scheduled."""

    concurrent: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Runs at the same time, over all threads (one per thread)."""
    queue_max: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Unfinished runs one thread may have; more messages are refused with `busy`."""
    messages_max: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Messages one thread may have; more are refused with `too_large`: begin another thread."""
    attempts_max: Annotated[int, Field(ge=1, le=100)] = 5
    """Attempts of one run, counting those that a restart of the gateway ended."""
    turn_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    """The longest one attempt may take before the run fails."""
    shutdown_s: Annotated[float, Field(ge=0, le=600)] = 5.0
    """Time that running turns get to finish when the gateway stops; the rest resume at the next start."""


class LimitSettings(Section):
    """What one principal and one connection may use."""

    requests_per_s: Annotated[float, Field(gt=0)] = limits.REQUESTS_PER_S
    """Requests per second and principal, over all its connections."""
    request_burst: Annotated[int, Field(ge=1)] = limits.REQUEST_BURST
    """Requests a principal may make at once after a pause."""
    frame_bytes: Annotated[int, Field(ge=limits.PRE_HELLO_FRAME_BYTES, le=64 * limits.MIB)] = (
        limits.FRAME_BYTES
    )
    """Largest WebSocket frame and HTTP body taken, in bytes."""
    connections: Annotated[int, Field(ge=1)] = 20_000
    """WebSocket and SSE connections at the same time."""
    blob_bytes: Annotated[int, Field(ge=1, le=2048 * limits.MIB)] = 25 * limits.MIB
    """Largest file taken, from a client, a chat network or an agent, in bytes."""
    attachments: Annotated[int, Field(ge=1, le=limits.PARTS - 2)] = 10
    """Files one message may bring; a chat network's message loses those beyond, and says so."""


class Settings(BaseSettings):
    """Everything an operator can set."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8787
    """Port to listen on; 0 takes a free one."""
    data_dir: Path = Path()
    """Directory of the store; `$XDG_DATA_HOME/threadgate` unless told."""
    behind_tls_proxy: bool = False
    """Declares that a proxy in front ends TLS; needed for any address that is not loopback."""
    allowed_origins: tuple[str, ...] = ()
    """Browser origins besides the gateway's own, like `https://console.example.org`, matched exactly."""
    allowed_hosts: tuple[str, ...] = ()
    """Host headers besides the gateway's own, like `gate.example.org`, matched exactly."""
    vault_key: SecretStr | None = None
    """The key that seals secrets which channels are given at run time, better by reference (`env:NAME`,
    `file:/path`): 32 random bytes in URL-safe base64. Several, separated by white space, rotate: the first seals,
    all open. Without it a key is made once, in `vault.key` beside the store: keep a copy of it."""
    compression: bool = False
    """Offer permessage-deflate to WebSocket clients: less traffic for triple memory and double CPU."""
    default_agent: str = ""
    """The agent of threads that name none; the first one when empty."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe records to log."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto` is console on a terminal and JSON elsewhere."""
    runs: RunSettings = RunSettings()
    limits: LimitSettings = LimitSettings()
    agents: Annotated[tuple[AnyAgent, ...], Field(min_length=1)] = (DemoSettings(id="demo"),)
    """Who answers; the demo agent unless told."""
    routes: tuple[RouteSettings, ...] = ()
    """Which agent answers where; the default agent where none fits."""
    organizations: tuple[OrganizationSettings, ...] = ()
    """Organizations beside the default one."""
    policies: tuple[PolicySettings, ...] = ()
    """What may be done without asking, what a person must allow, what never."""
    budgets: tuple[BudgetSettings, ...] = ()
    """How much may be used."""
    audit: AuditSettings = AuditSettings()
    retention: RetentionSettings = RetentionSettings()
    privacy: PrivacySettings = PrivacySettings()
    channels: tuple[dict[str, Any], ...] = Field((), repr=False)
    """Chat networks, each with `kind`, `account` and what its kind needs."""

    _source: Source | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _whole(self) -> "Settings":
        ids = [agent.id for agent in self.agents]
        if len(set(ids)) != len(ids):
            raise ValueError("agents: every id may occur once")
        for key, named in self._named_agents():
            if named not in ids:
                raise ValueError(f"{key}: {named!r} is none of the agents ({', '.join(ids)})")
        budget_names = [budget.name for budget in self.budgets]
        if len(set(budget_names)) != len(budget_names):
            raise ValueError("budgets: every name may occur once")
        organizations = [one.id for one in self.organizations]
        if len(set(organizations)) != len(organizations):
            raise ValueError("organizations: every id may occur once")
        names = [policy.name for policy in self.policies]
        if len(set(names)) != len(names):
            raise ValueError("policies: every name may occur once")
        self._check_channels_of_policies()
        if self.host not in LOOPBACK and not self.behind_tls_proxy:
            raise ValueError(
                f"host: {self.host!r} can be reached from elsewhere and the gateway itself speaks no TLS. "
                "Listen on 127.0.0.1, or set behind_tls_proxy = true when a proxy in front ends TLS"
            )
        return self

    def _named_agents(self) -> Iterator[tuple[str, str]]:
        """Every place that names an agent, and whom."""
        if self.default_agent:
            yield "default_agent", self.default_agent
        for number, route in enumerate(self.routes):
            yield f"routes.{number}.agent", route.agent
        for number, policy in enumerate(self.policies):
            for pattern in policy.agent:
                if "*" not in pattern:
                    yield f"policies.{number}.agent", pattern
        for number, agent in enumerate(self.agents):
            if agent.id in self._fallbacks(agent.fallback):
                raise ValueError(
                    f"agents.{number}.fallback: an agent is not its own fallback, nor by way of others"
                )
            if agent.fallback is not None:
                yield f"agents.{number}.fallback", agent.fallback

    def _check_channels_of_policies(self) -> None:
        """A network that does not exist fits nothing, which nobody wants to say."""
        known = ("client", *sorted(SETTINGS_BY_KIND))
        for number, policy in enumerate(self.policies):
            for pattern in policy.channel:
                network = pattern.partition(":")[0]
                if "*" not in network and network not in known:
                    raise ValueError(f"policies.{number}.channel: {network!r} is none of {', '.join(known)}")
            for room in policy.approval.rooms:
                account = tuple(room.split(":")[:2])
                if account not in {(one.get("kind"), one.get("account")) for one in self.channels}:
                    raise ValueError(f"policies.{number}.approval.rooms: no account is {':'.join(account)!r}")

    def _fallbacks(self, first: str | None) -> set[str]:
        """An agent and those who would answer in its place, one after the other."""
        next_of = {agent.id: agent.fallback for agent in self.agents}
        found: set[str] = set()
        while first is not None and first not in found:
            found.add(first)
            first = next_of.get(first)
        return found

    @property
    def source(self) -> Source | None:
        """Where it came from; None for one that was put together in the program."""
        return self._source

    @property
    def directory(self) -> Path:
        """Where relative paths of the configuration begin."""
        return self._source.directory if self._source is not None else Path.cwd()

    @property
    def default_agent_id(self) -> str:
        """The agent of threads that name none."""
        return self.default_agent or self.agents[0].id


def default_config_path(environ: Mapping[str, str]) -> Path:
    """Where the configuration is looked for unless told (XDG Base Directory specification)."""
    home = Path(environ.get("HOME", "~")).expanduser()
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "threadgate" / "config.toml"


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where the store lives unless told (XDG Base Directory specification)."""
    home = Path(environ.get("HOME", "~")).expanduser()
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "threadgate"


def load(config: Path | None, overrides: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Read and validate the configuration.

    `config` None means the default path, which may be missing; `overrides` are command-line options and win
    over everything. Raises SettingsError with every key that is wrong.
    """
    path = config if config is not None else default_config_path(environ)
    if config is not None and not path.is_file():
        raise SettingsError(f"There is no configuration file {path}")
    _refuse_unknown_variables(environ)

    class Loaded(Settings):
        """`Settings` bound to one file."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path)

    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        settings = Loaded(**given)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except SettingsSourceError as error:
        raise SettingsError(f"{error}: {error.__cause__}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise SettingsError(
            *(
                f"{problem.text} (from {_from(problem, path, given, environ)})"
                for problem in problems_of(error, Settings)
            )
        ) from None
    channel_settings(settings)
    if "data_dir" not in settings.model_fields_set:
        settings = settings.model_copy(update={"data_dir": default_data_dir(environ)})
    path = path.absolute()
    settings._source = Source(path, path.parent if path.is_file() else Path.cwd(), overrides, environ)
    return settings


def organizations_of(settings: Settings) -> frozenset[str]:
    """The ids of all organizations of a configuration; the default one is always among them."""
    return frozenset({DEFAULT_ORGANIZATION, *(one.id for one in settings.organizations)})


def channel_settings(settings: Settings) -> list[ChannelSettings]:
    """The channels, validated by those who own their settings. Raises SettingsError."""
    found: list[ChannelSettings] = []
    for number, table in enumerate(settings.channels):
        where = f"channels.{number}"
        model = SETTINGS_BY_KIND.get(str(table.get("kind")))
        if model is None:
            raise SettingsError(f"{where}.kind: it is one of {', '.join(sorted(SETTINGS_BY_KIND))}")
        try:
            found.append(model.model_validate(table))
        except ValidationError as error:
            raise SettingsError(*(f"{where}.{one.text}" for one in problems_of(error, model))) from None
    organizations = organizations_of(settings)
    for number, channel in enumerate(found):
        if channel.org not in organizations:
            known = ", ".join(sorted(organizations))
            raise SettingsError(
                f"channels.{number}.org: {channel.org!r} is none of the organizations ({known})"
            )
    names = [(channel.kind, channel.account) for channel in found]
    if len(set(names)) != len(names):
        raise SettingsError("channels: every account may occur once per kind")
    return found


def _from(problem: Problem, path: Path, given: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Where a wrong value came from."""
    # What is wrong with the whole has no place; its text begins with the key.
    place = problem.place or tuple(problem.text.partition(":")[0].split("."))
    keys = [str(step).upper() for step in place]
    if str(place[0]) in given:
        return "the command line"
    for name in environ:
        steps = name.upper().removeprefix(ENV_PREFIX).split("__")
        if name.startswith(ENV_PREFIX) and keys[: len(steps)] == steps:
            return f"the environment variable {name}"
    return str(path)


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = {name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    for name in environ:
        key = name.removeprefix(ENV_PREFIX).split("__")[0]
        if name.startswith(ENV_PREFIX) and key not in known and key != CRASH_VARIABLE:
            guess = did_you_mean(key, sorted(known), ENV_PREFIX)
            there_are = ", ".join(f"{ENV_PREFIX}{found}" for found in sorted(known))
            raise SettingsError(
                f"The environment variable {name} is not a setting{guess} (there are {there_are})"
            )
