"""What every agent of the configuration can be told, and what each kind needs. `[[agents]]` in the file.

Shapes and their checks only: what a kind does with them is in `gateway/agents/`. The sentences under the fields
are the documentation: it is generated from them.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from gateway.patterns import checked_pattern
from protocol import limits
from protocol.scopes import Scope

AgentId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
TagName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


def _checked_address(value: str) -> str:
    if not value.startswith(("http://", "https://")) or "@" in value or "#" in value:
        raise ValueError("is an http:// or https:// address without user and fragment")
    return value.rstrip("/")


Address = Annotated[str, AfterValidator(_checked_address)]


class Section(BaseModel):
    """A table of the configuration: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, defer_build=True)


class AgentSettings(Section):
    """What every agent can be told."""

    id: AgentId
    """The name that threads, routes and clients use."""
    kind: str
    """What answers."""
    name: Annotated[str, Field(max_length=limits.NAME_CHARS)] = ""
    """How people see it; the id when empty."""
    description: Annotated[str, Field(max_length=500)] = ""
    """One sentence for lists."""
    version: Annotated[str, Field(max_length=64)] = "1"
    """Your own version of it; every run records which one answered."""
    state: Literal["draft", "released", "suspended"] = "released"
    """draft: clients of the protocol can talk to it, chat networks cannot; released: everybody can; suspended: nobody
    can, and what waits for it ends with an error that says so."""
    concurrent: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Runs of it at the same time; 0 for as many as the gateway runs at all."""
    turn_timeout_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """The longest one attempt may take; `runs.turn_timeout_s` unless told."""
    step_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """The longest one step (a model call, a tool call) may take."""
    silence_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """An agent that gives no sign of life for this long has failed; a wait for a person does not count."""
    wait_timeout_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 86_400.0
    """How long a question to a person stays open, an approval or a request for input."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """How often an attempt is made again after an error that may pass (the provider is down, rate limited)."""
    fallback: AgentId | None = None
    """Another agent that answers when this one cannot: its retries are used up, or its circuit breaker is open."""
    retry_interrupted: bool = True
    """Whether a run that a restart interrupted is queued again, when the agent cannot continue it."""
    cost_tags: dict[TagName, Annotated[str, Field(max_length=64)]] = {}
    """What its costs are told apart by in reports, like `{team = "support"}`; `usage.get` groups by `tag:team`."""
    scopes: tuple[Scope, ...] = ()
    """What it may do in the gateway beyond the thread it answers in: with thread.read its search finds messages of
    every thread, whoever asks."""


class DemoSettings(AgentSettings):
    """Answers without any network; for trying things out and for tests."""

    kind: Literal["demo"] = "demo"


class McpSettings(Section):
    """A server of the Model Context Protocol whose tools an agent may use: `command` or `url`."""

    name: ToolName
    """Its tools are called `NAME.TOOL`."""
    command: tuple[str, ...] = ()
    """The program and its arguments, spoken to over stdio."""
    url: Address | None = None
    """Where it listens (streamable HTTP)."""
    env: dict[str, SecretStr] = {}
    """Environment of the program, by reference (`env:NAME`, `file:/path`) or as it is; it inherits only PATH, HOME and
    the locale."""
    headers: dict[str, SecretStr] = {}
    """Headers of every request to the url, by reference."""
    idempotent: tuple[str, ...] = ()
    """Tools of it that may safely run twice, beside those that say so themselves."""
    requires_approval: tuple[str, ...] | Literal["all"] = ()
    """Tools of it that run only when a person has approved the call."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("give either command or url")
        return self


class FetchSettings(Section):
    """What the tool `http_fetch` may reach."""

    allow: tuple[str, ...] = ()
    """Hosts, exactly or as `*.example.org`; none unless told."""
    allow_private: bool = False
    """Whether those hosts may have private or loopback addresses. Judged by the address that is connected to."""
    max_bytes: Annotated[int, Field(ge=1, le=16 * limits.MIB)] = limits.MIB
    """The most of an answer that is read."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 20.0
    """For the whole of one fetch, redirects included."""


class ToolSettings(AgentSettings):
    """An agent that can use tools of the gateway."""

    tools: tuple[ToolName, ...] = ()
    """Built-in tools: `clock`, `calculator`, `http_fetch`, `thread_search`."""
    requires_approval: tuple[ToolName, ...] = ()
    """Built-in tools that run only when a person has approved the call."""
    fetch: FetchSettings = FetchSettings()
    """For `http_fetch`."""
    mcp: tuple[McpSettings, ...] = ()
    """Servers whose tools it may use too."""
    devices: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = ()
    """Paired devices whose commands it may use, by name, `*` for any characters; they are called
    `device.NAME.COMMAND`."""


OwnTool = Annotated[str, Field(min_length=1, max_length=128)]
"""A name of a tool that an agent brings along; `*` stands for any characters."""


class ScriptSettings(ToolSettings):
    """Plays a scenario from a YAML file: deterministic, the stand-in for tests and demonstrations."""

    kind: Literal["script"]
    script: Path
    """The file with the scenarios."""


class PackSettings(Section):
    """A versioned document that a model is given with every request."""

    name: ToolName
    """What it is called in the run's record."""
    path: Path
    """The text file. A missing one is named in the run's record, and the run goes on without it."""
    version: Annotated[str, Field(max_length=64)] = ""
    """Your own version of it; the first characters of its SHA-256 unless told."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Higher ones come first; among equals the name decides."""


class ModelSettings(ToolSettings):
    """A language model with tools, through pydantic-ai."""

    kind: Literal["model"]
    model: str
    """`openai:NAME`, `anthropic:NAME`, `ollama:NAME`, or with `base_url` any name of an OpenAI-compatible endpoint."""
    base_url: Address | None = None
    """An OpenAI-compatible endpoint, or another address of the provider."""
    api_key: SecretStr | None = None
    """The provider's key, by reference (`env:OPENAI_API_KEY`, `file:/run/secrets/key`)."""
    instructions: str = ""
    """What the model is told before everything else."""
    context_packs: tuple[PackSettings, ...] = ()
    """Documents that follow the instructions."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """The provider's default unless told."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The longest single answer of the model."""
    steps_max: Annotated[int, Field(ge=1, le=1000)] = 25
    """Model calls of one run; more are an error (a model that never comes to an end)."""
    history_messages: Annotated[int, Field(ge=0, le=1000)] = 40
    """Messages of the thread that are sent along word for word."""
    history_chars: Annotated[int, Field(ge=0)] = 60_000
    """What these may have in characters altogether; older ones are summarised."""
    summarise: bool = True
    """Whether what falls out of the window is kept as a summary; without it, it is forgotten."""
    input_price: Annotated[float, Field(ge=0)] | None = None
    """US dollars per million input tokens; from the price list of genai-prices unless told."""
    output_price: Annotated[float, Field(ge=0)] | None = None
    """US dollars per million output tokens."""


class AcpSettings(AgentSettings):
    """A coding agent that speaks the Agent Client Protocol over stdio, as a program of its own."""

    kind: Literal["acp"]
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """The program and its arguments."""
    cwd: Path
    """The directory it works in."""
    env: dict[str, SecretStr] = {}
    """Its environment, by reference or as it is; it inherits only PATH, HOME and the locale."""
    idempotent: bool = False
    """Whether a prompt whose outcome nobody knows (the gateway or the agent died) may simply be given again; otherwise
    a person is asked."""
    start_timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Time for its start and its session."""
    memory_mb: Annotated[int, Field(ge=16)] | None = None
    """The most address space each of its processes may take."""
    cpu_s: Annotated[int, Field(ge=1)] | None = None
    """The most processor time each of its processes may take."""
    files_max: Annotated[int, Field(ge=16)] = 1024
    """Open files of each of its processes."""
    output_bytes: Annotated[int, Field(ge=limits.KIB)] = 16 * limits.MIB
    """The most it may send in one run; one line of it may have a quarter of that."""
    own_tools: tuple[OwnTool, ...] = ("*",)
    """Which kinds of tools of its own are known here (`read`, `edit`, `execute` …), `*` for any characters; what is not
    known is denied, unless a policy allows it by its whole name."""


class RemoteSettings(AgentSettings):
    """Agent processes that connect to the gateway with role `agent`."""

    kind: Literal["remote"]
    worker_wait_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """How long a run waits for a worker to connect before it fails, or its fallback answers."""
    sticky_s: Annotated[float, Field(ge=0, le=86_400)] = 3600.0
    """A thread stays with its worker for so long, while that one is connected and has room."""
    history_messages: Annotated[int, Field(ge=0, le=1000)] = 40
    """Messages of the thread that are sent along."""
    output_bytes: Annotated[int, Field(ge=limits.KIB)] = 16 * limits.MIB
    """The most that one attempt may send altogether."""
    own_tools: tuple[OwnTool, ...] = ("*",)
    """Which tools that it brings along are known here, `*` for any characters; what is not known is denied, unless a
    policy allows it by its whole name."""


class HttpSettings(AgentSettings):
    """An OpenAI-compatible chat-completions endpoint that is treated as a whole agent."""

    kind: Literal["http"]
    url: Address
    """The whole address of the endpoint, such as `https://agents.example.org/v1/chat/completions`."""
    model: str = "default"
    """What the request says in `model`."""
    api_key: SecretStr | None = None
    """Sent as a bearer token, by reference."""
    headers: dict[str, SecretStr] = {}
    """Further headers, by reference."""
    instructions: str = ""
    """A system message, when not empty."""
    history_messages: Annotated[int, Field(ge=0, le=1000)] = 40
    """Messages of the thread that are sent along."""
    idempotent: bool = False
    """Whether a request whose outcome nobody knows may simply be made again; otherwise a person is asked."""
    output_bytes: Annotated[int, Field(ge=limits.KIB)] = 4 * limits.MIB
    """The most that is read of one answer."""


def _with_kind(value: Any) -> Any:
    return {"kind": "demo", **value} if isinstance(value, dict) else value


AnyAgent = Annotated[
    Annotated[
        DemoSettings | ScriptSettings | ModelSettings | AcpSettings | RemoteSettings | HttpSettings,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_with_kind),
]
"""One `[[agents]]` table; the demo agent unless it names a kind."""
AGENT_SETTINGS: Final[dict[str, type[AgentSettings]]] = {
    "demo": DemoSettings,
    "script": ScriptSettings,
    "model": ModelSettings,
    "acp": AcpSettings,
    "remote": RemoteSettings,
    "http": HttpSettings,
}
"""By kind, in the order of the documentation."""


class RouteSettings(Section):
    """Which agent answers a conversation that begins; the first `[[routes]]` table that fits decides."""

    agent: AgentId
    """Who answers."""
    channel: str | None = None
    """Only on this chat network; `client` for clients of the protocol."""
    account: str | None = None
    """Only through this account."""
    room: str | None = None
    """Only in this room, by its id."""
    mention: bool | None = None
    """true: only when the bot is addressed in a room by a mention; false: only when it is not."""
    command: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")] | None = None
    """Only for messages that begin with `/COMMAND` or `!COMMAND`; the agent gets the text behind it."""
    pattern: Annotated[str, Field(max_length=500), AfterValidator(checked_pattern)] | None = None
    """Only for texts in which this regular expression is found. Searched in the first 1,000 characters; one that could
    take very long over some text is refused."""
