"""Settings: file < environment < options; what is wrong is named with its key, its source and what is allowed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.agent_settings import (
    AGENT_SETTINGS,
    DemoSettings,
    FetchSettings,
    HttpSettings,
    McpSettings,
    ModelSettings,
    PackSettings,
    RouteSettings,
)
from gateway.settings import (
    Settings,
    SettingsError,
    channel_settings,
    default_config_path,
    default_data_dir,
    load,
)
from protocol import limits

Load = Callable[..., Settings]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("THREADGATE_") or name.startswith("XDG_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load from a file's text, variables and options."""

    def read_all(file: str = "", environ: dict[str, str] | None = None, **options: Any) -> Settings:
        path = tmp_path / "config.toml"
        path.write_text(file)
        for name, value in (environ or {}).items():
            monkeypatch.setenv(name, value)
        return load(path, options, os.environ)

    return read_all


def refusal(read: Load, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        read(*args, **kwargs)
    return str(refused.value)


# --- where values come from ------------------------------------------------------------------------


def test_without_anything_it_is_the_demo_on_loopback(read: Load) -> None:
    settings = read()
    assert (settings.host, settings.port, settings.default_agent_id) == ("127.0.0.1", 8787, "demo")
    assert settings.limits.frame_bytes == limits.FRAME_BYTES
    assert settings.channels == ()


def test_options_win_over_the_environment_and_that_over_the_file(read: Load) -> None:
    file = 'port = 1001\nlog_level = "debug"\nhost = "::1"\n'
    environ = {"THREADGATE_PORT": "1002", "THREADGATE_LOG_LEVEL": "error"}
    settings = read(file, environ, port=1003)
    assert (settings.port, settings.log_level, settings.host) == (1003, "error", "::1")


def test_an_option_that_was_not_given_changes_nothing(read: Load) -> None:
    assert read("port = 1001", port=None).port == 1001


def test_sections_are_merged_key_by_key(read: Load) -> None:
    file = "[runs]\nconcurrent = 7\nqueue_max = 8\n"
    settings = read(file, {"THREADGATE_RUNS__QUEUE_MAX": "9"})
    assert (settings.runs.concurrent, settings.runs.queue_max, settings.runs.attempts_max) == (7, 9, 5)


def test_lists_come_from_the_environment_as_json(read: Load) -> None:
    settings = read("", {"THREADGATE_ALLOWED_HOSTS": '["gate.example.org"]'})
    assert settings.allowed_hosts == ("gate.example.org",)


def test_the_clients_variables_are_none_of_the_gateways_business(read: Load) -> None:
    assert read("", {"THREADGATE_TOKEN": "x", "THREADGATE_URL": "x", "THREADGATE_CONFIG": "x"}).port == 8787


def test_files_are_looked_for_where_xdg_says(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert default_config_path(home) == tmp_path / ".config" / "threadgate" / "config.toml"
    assert default_data_dir(home) == tmp_path / ".local" / "share" / "threadgate"
    told = {**home, "XDG_CONFIG_HOME": "/etc/x", "XDG_DATA_HOME": "/var/x"}
    assert default_config_path(told) == Path("/etc/x/threadgate/config.toml")
    assert default_data_dir(told) == Path("/var/x/threadgate")
    empty = {**home, "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""}
    assert default_data_dir(empty) == default_data_dir(home)


def test_the_default_files_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(None, {}, os.environ).data_dir == tmp_path / ".local" / "share" / "threadgate"
    path = default_config_path(os.environ)
    path.parent.mkdir(parents=True)
    path.write_text(f'port = 1234\ndata_dir = "{tmp_path}/elsewhere"\n')
    settings = load(None, {}, os.environ)
    assert (settings.port, settings.data_dir) == (1234, tmp_path / "elsewhere")


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no configuration file .*missing\.toml"):
        load(tmp_path / "missing.toml", {}, {})


# --- what is wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "environ", "options", "wanted"),
    [
        ("port = 70000", {}, {}, ["port", "65535", "config.toml"]),
        ('port = "many"', {}, {}, ["port", "integer", "config.toml"]),
        ("", {"THREADGATE_PORT": "-1"}, {}, ["port", "greater than or equal to 0", "the environment"]),
        ("port = 1", {"THREADGATE_PORT": "x"}, {}, ["port", "integer", "the environment"]),
        ("", {}, {"port": 70000}, ["port", "65535", "the command line"]),
        ("", {"THREADGATE_PORT": "1"}, {"port": 70000}, ["port", "the command line"]),
        ("nonsense = 1", {}, {}, ["nonsense", "there is no such setting", "config.toml"]),
        ("[runs]\nnonsense = 1", {}, {}, ["runs.nonsense", "there is no such setting", "config.toml"]),
        ("[runs]\nconcurrent = 0", {}, {}, ["runs.concurrent", "greater than or equal to 1", "config.toml"]),
        (
            "[runs]\nconcurrent = 0", {"THREADGATE_RUNS__QUEUE_MAX": "9"}, {},
            ["runs.concurrent", "config.toml"],
        ),
        ("", {"THREADGATE_RUNS__CONCURRENT": "0"}, {}, ["runs.concurrent", "the environment"]),
        ("", {"THREADGATE_RUNS__NONSENSE": "0"}, {}, ["runs.nonsense", "the environment"]),
        ("", {"THREADGATE_ALLOWED_HOSTS": "no json"}, {}, ["allowed_hosts"]),
        ('log_level = "loud"', {}, {}, ["log_level", "'debug', 'info', 'warning' or 'error'", "config.toml"]),
        ("[limits]\nframe_bytes = 10", {}, {}, ["limits.frame_bytes", str(limits.PRE_HELLO_FRAME_BYTES)]),
        ('[[agents]]\nid = "Bad Id"', {}, {}, ["agents.0.id", "pattern"]),
        ('[[agents]]\nid = "a"\nkind = "magic"', {}, {}, ["agents.0.kind: it is one of demo, script, model"]),
        ("[[agents]]\nname = 'a'", {}, {}, ["agents.0.id: field required"]),
        ('agents = ["a"]', {}, {}, ["agents.0: ", "dictionary"]),
        ("", {"THREADGATE_AGENTS": '[{"id": "?"}]'}, {}, ["agents.0.id", "the environment"]),
        ("", {"THREADGATE_AGENTS": "?"}, {}, ["agents"]),
        ('[[agents]]\nid = "a"\nfallback = "b"', {}, {}, ["agents.0.fallback: 'b' is none of the agents (a)"]),
        ('[[agents]]\nid = "a"\nfallback = "a"', {}, {}, ["agents.0.fallback", "its own", "config.toml"]),
        (
            '[[agents]]\nid = "a"\nfallback = "b"\n[[agents]]\nid = "b"\nfallback = "a"',
            {},
            {},
            ["agents.0.fallback", "by way of others"],
        ),
        ('[[routes]]\nagent = "b"', {}, {}, ["routes.0.agent: 'b' is none of the agents (demo)"]),
        ('[[routes]]\nagent = "demo"\nrom = "x"', {}, {}, ["routes.0.rom", "did you mean room?", "config.toml"]),
        ('[[agents]]\nid = "a"\n[[agents]]\nid = "a"', {}, {}, ["agents", "once"]),
        ('default_agent = "nobody"', {}, {}, ["default_agent", "demo", "config.toml"]),
        ("agents = []", {}, {}, ["agents", "at least 1"]),
        ('host = "0.0.0.0"', {}, {}, ["host", "behind_tls_proxy", "config.toml"]),
        ("", {"THREADGATE_HOST": "::"}, {}, ["host", "TLS", "the environment"]),
        ("", {}, {"host": "192.0.2.1"}, ["host", "127.0.0.1", "the command line"]),
        ('[[channels]]\nkind = "irc"', {}, {}, ["channels.0.kind", "telegram"]),
        ('[[channels]]\nkind = "telegram"\naccount = "a"', {}, {}, ["channels.0.token", "required"]),
        (
            '[[channels]]\nkind = "telegram"\naccount = "a"\ntoken = "t"\ndm_policy = "maybe"', {}, {},
            ["channels.0.dm_policy", "pairing"],
        ),
        (
            '[[channels]]\nkind = "telegram"\naccount = "a"\ntoken = "t"\n' * 2, {}, {},
            ["channels", "once per kind"],
        ),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_with_its_key_its_source_and_what_is_allowed(
    read: Load, file: str, environ: dict[str, str], options: dict[str, Any], wanted: list[str]
) -> None:
    text = refusal(read, file, environ, **options)
    for part in wanted:
        assert part in text
    sources = {"the environment", "the command line", "config.toml"}
    named = sources & set(wanted)
    assert all(source not in text for source in sources - named) if named else True


MODEL = '[[agents]]\nid = "a"\nkind = "model"\nmodel = "openai:x"\n'


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        (
            MODEL.replace("model =", "modle ="),
            [
                "agents.0.model: field required",
                "agents.0.modle: there is no such setting; did you mean model?",
            ],
        ),
        (
            '[[agents]]\nid = "a"\nmodel = "openai:x"',
            ['agents.0.model: there is no such setting; kinds "model" and "http" have it (there are'],
        ),
        ('[[agents]]\nid = "a"\nkind = "modell"', ["agents.0.kind: it is one of", "did you mean model?"]),
        (f"{MODEL}retries = 11", ["agents.0.retries: input should be less than or equal to 10"]),
        (f"{MODEL}[agents.fetch]\nalow = []", ["agents.0.fetch.alow: there is no", "did you mean allow?"]),
        (
            f'{MODEL}[[agents.mcp]]\nname = "m"\ncommand = ["c"]\nrequires_approval = "some"',
            ["agents.0.mcp.0.requires_approval: input should be a valid list or input should be 'all'"],
        ),
        (f'{MODEL}[[agents.mcp]]\nname = "m"', ["agents.0.mcp.0: give either command or url"]),
        (
            f'{MODEL}[[agents.mcp]]\nname = "m"\ncommand = ["c"]\nenv.KEY = 7',
            ["agents.0.mcp.0.env.KEY: input should be a valid string"],
        ),
        (
            f'{MODEL}[[agents.context_packs]]\nname = "p"\npath = "p.md"\nprority = 1',
            [
                "agents.0.context_packs.0.prority",
                "did you mean priority? (there are name, path, priority, version)",
            ],
        ),
        (
            '[[agents]]\nid = "a"\nkind = "acp"\ncommand = []\ncwd = "."',
            ["agents.0.command: list should have at least 1 item"],
        ),
        (
            f'{MODEL}base_url = "ftp://x"',
            ["agents.0.base_url: is an http:// or https:// address without user and fragment"],
        ),
    ],
)
def test_what_is_wrong_with_an_agent_is_named_by_the_keys_of_its_kind(
    read: Load, file: str, wanted: list[str]
) -> None:
    text = refusal(read, file)
    for part in wanted:
        assert part in text
    assert text.count("(from ") == len([line for line in wanted if line.startswith("agents.0")])


def test_an_agent_is_read_as_its_kind_and_the_demo_needs_none(read: Load) -> None:
    settings = read(f'{MODEL}[[agents]]\nid = "b"\n')
    assert [type(agent) for agent in settings.agents] == [ModelSettings, DemoSettings]
    assert read("", {"THREADGATE_AGENTS": '[{"id": "c", "kind": "http", "url": "http://a/"}]'}).agents == (
        HttpSettings(id="c", kind="http", url="http://a"),
    )


def test_a_secret_of_an_agent_is_never_shown(read: Load) -> None:
    file = f'{MODEL}api_key = "hunter2"\n[[agents.mcp]]\nname = "m"\nurl = "http://m"\n'
    settings = read(f'{file}headers.Authorization = "hunter2"')
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in refusal(read, f'{file}headers = "hunter2"')


def test_it_can_be_read_again_and_says_where_relative_paths_begin(
    read: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read("port = 1", host="::1")
    assert settings.directory == tmp_path and settings.source is not None
    settings.source.path.write_text("port = 2")
    again = settings.source.read()
    assert (again.port, again.host, again.directory) == (2, "::1", tmp_path)
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert load(None, {}, os.environ).directory == Path("/")
    assert Settings().directory == Path("/") and Settings().source is None


def test_everything_that_is_wrong_is_named_at_once(read: Load) -> None:
    text = refusal(read, "port = -1\nhost = 7\n[runs]\nqueue_max = 0", {"THREADGATE_LOG_FORMAT": "xml"})
    assert all(key in text for key in ("port", "host", "runs.queue_max", "log_format"))


def test_a_file_that_is_no_toml_is_named(read: Load) -> None:
    assert "is not valid TOML" in refusal(read, "port = = 1")


@pytest.mark.parametrize("name", ["THREADGATE_PROT", "THREADGATE_RUN__CONCURRENT", "THREADGATE_X"])
def test_an_unknown_variable_is_refused_with_the_known_ones(read: Load, name: str) -> None:
    text = refusal(read, "", {name: "1"})
    assert name in text
    assert "THREADGATE_PORT" in text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gate.example.org", "", "127.0.0.2"])
def test_a_public_address_needs_a_declared_proxy(read: Load, host: str) -> None:
    assert "behind_tls_proxy" in refusal(read, f'host = "{host}"')
    assert read(f'host = "{host}"\nbehind_tls_proxy = true').host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_nothing(read: Load, host: str) -> None:
    assert read("", {"THREADGATE_HOST": host}).host == host


def test_a_secret_is_never_shown(read: Load) -> None:
    secret = "42:hunter2"
    file = f'[[channels]]\nkind = "telegram"\naccount = "a"\ntoken = "{secret}"\nallow = ["@ada"]\n'
    assert "hunter2" not in refusal(read, file)
    settings = read(file.replace('["@ada"]', '["1001"]'))
    (channel,) = channel_settings(settings)
    assert "hunter2" not in repr(channel)


def test_the_default_agent_is_the_first_unless_told(read: Load) -> None:
    two = '[[agents]]\nid = "one"\n[[agents]]\nid = "two"\n'
    assert read(two).default_agent_id == "one"
    assert read(f'default_agent = "two"\n{two}').default_agent_id == "two"


def test_every_setting_is_documented() -> None:
    tables = (McpSettings, FetchSettings, PackSettings, RouteSettings, *AGENT_SETTINGS.values())
    for model in (Settings, *tables, *(field.annotation for field in Settings.model_fields.values())):
        for name, field in getattr(model, "model_fields", {}).items():
            is_section = hasattr(field.annotation, "model_fields")
            is_section |= name == "kind"  # the name of its table, explained there
            assert is_section or field.description, f"{name} has no description"
