"""`doctor`: what it finds, healthy or not, running, stopped or empty."""

import json
import signal
import socket
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from cli_process import Cli, stop
from cryptography.fernet import Fernet

Findings = dict[str, list[dict[str, Any]]]


def _look(cli: Cli, *args: str, code: int = 0) -> Findings:
    done = cli.run("doctor", "--json", *args)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["ok"] is (code == 0)
    found: Findings = {"ok": [], "warning": [], "error": []}
    for finding in document["findings"]:
        found[finding["level"]].append(finding)
        assert finding["what"]
        assert bool(finding["fix"]) is (finding["level"] != "ok")
    return found


def _said(findings: list[dict[str, Any]], check: str) -> str:
    return "; ".join(finding["what"] for finding in findings if finding["check"] == check)


def _made(cli: Cli) -> Cli:
    """A store that exists, with an audit log, and nothing running."""
    cli.lines("token", "create", "--role", "owner")
    return cli


def _change(cli: Cli, sql: str) -> None:
    with closing(sqlite3.connect(cli.data_dir / "threadgate.db")) as connection, connection:
        connection.execute(sql)


def test_a_gateway_that_runs_is_healthy(running: Cli) -> None:
    running.lines("send", "say hello")
    found = _look(running)
    assert not found["warning"]
    checks = {finding["check"] for finding in found["ok"]}
    assert checks >= set(
        [
            "configuration",
            "directory",
            "file",
            "disk",
            "integrity",
            "schema",
            "audit",
            "ready",
            "exposure",
            "clock",
        ]
    )
    assert f"is ready at {running.url}" in _said(found["ok"], "ready")
    text = running.lines("doctor")
    assert text[-1].endswith("0 errors, 0 warnings")


def test_the_secrets_of_agents_are_looked_for(cli: Cli) -> None:
    path = cli.home / "config.toml"
    path.write_text(
        '[[agents]]\nid = "a"\nkind = "http"\nurl = "http://a"\napi_key = "env:KEY_A"\n'
        'headers = { one = "plain", two = "env:KEY_B" }\n'
        '[[agents]]\nid = "b"\nkind = "model"\nmodel = "openai:x"\napi_key = "sk-plain"\n'
        '[[agents.mcp]]\nname = "m"\ncommand = ["m"]\nenv = { TOKEN = "env:KEY_C" }\n'
    )
    path.chmod(0o644)
    cli.variables["KEY_A"] = "x"
    found = _look(cli, "--config", str(path), code=1)
    assert _said(found["ok"], "agent") == "agent a: its api_key is there"
    assert _said(found["error"], "agent").split("; ") == [
        "agent a: headers.two: the environment variable KEY_B is not set",
        "agent b: mcp.0.env.TOKEN: the environment variable KEY_C is not set",
    ]
    assert _said(found["warning"], "agent") == "agent b: its api_key stands in the configuration"
    assert "other users can read it" in _said(found["error"], "configuration")
    assert "sk-plain" not in json.dumps(found)


def test_files_of_secrets_that_others_can_read_and_secrets_of_sinks(cli: Cli) -> None:
    (cli.home / "key").write_text("sk-of-a-file")
    (cli.home / "key").chmod(0o640)
    path = cli.home / "config.toml"
    path.write_text(
        'vault_key = "not-a-reference"\n'
        f'[[agents]]\nid = "a"\nkind = "http"\nurl = "http://a"\napi_key = "file:{cli.home}/key"\n'
        '[[audit.sinks]]\nname = "siem"\nkind = "http"\nurl = "https://siem.example/"\n'
        'headers = { Authorization = "Bearer sk-plain" }\n'
    )
    path.chmod(0o600)
    found = _look(cli, "--config", str(path), code=1)
    assert f"other users can read {cli.home}/key (mode 0640)" in _said(found["warning"], "secret")
    warned = _said(found["warning"], "sink")
    assert warned == "sink siem: its headers.Authorization stands in the configuration"
    for secret in ("sk-of-a-file", "sk-plain", "not-a-reference"):
        assert secret not in json.dumps(found)


def test_an_empty_directory_is_no_error_and_stays_empty(cli: Cli) -> None:
    found = _look(cli)
    assert "does not exist yet" in _said(found["warning"], "directory")
    assert "no store yet" in _said(found["warning"], "store")
    assert not cli.data_dir.exists()


def test_a_stopped_gateway(cli: Cli) -> None:
    found = _look(_made(cli))
    assert "stopped" in _said(found["ok"], "process")


def test_files_that_others_can_read(cli: Cli) -> None:
    _made(cli)
    cli.data_dir.chmod(0o755)
    (cli.data_dir / "threadgate.db").chmod(0o644)
    found = _look(cli, code=1)
    assert "mode 0755" in _said(found["error"], "directory")
    assert "mode 0644" in _said(found["error"], "file")
    assert found["error"][0]["fix"] == f"chmod 0700 {cli.data_dir}"


def test_a_store_of_a_newer_version(cli: Cli) -> None:
    _made(cli)
    _change(cli, "INSERT INTO schema_migrations VALUES (999, 'later', 'x', 0)")
    assert "has schema 999" in _said(_look(cli, code=1)["error"], "schema")
    assert "it was used by a newer version" in cli.refused("serve", "--port", "0")


def test_an_audit_log_that_was_changed(cli: Cli) -> None:
    _made(cli)
    _change(cli, "UPDATE audit_entries SET body = replace(body, 'owner', 'viewer') WHERE seq = 1")
    assert "entry 1 was changed" in _said(_look(cli, code=1)["error"], "audit")
    assert "entry 1 was changed" in cli.refused("audit", "verify", code=1)


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b""])
def test_a_file_that_is_no_store(content: bytes, cli: Cli) -> None:
    _made(cli)
    (cli.data_dir / "threadgate.db").write_bytes(content)
    assert _look(cli, code=1)["error"]
    assert "cannot be" in cli.refused("audit", "verify")


def test_an_event_from_the_future(cli: Cli) -> None:
    with cli.serving():
        cli.lines("send", "say hello")
    _change(cli, "UPDATE events SET at = at + 86400000 WHERE seq = 6")
    assert "from the future" in _said(_look(cli, code=1)["error"], "clock")


def test_what_a_killed_gateway_leaves_behind(cli: Cli) -> None:
    process, _ = cli.serve()
    stop(process, signal.SIGKILL)
    found = _look(cli)
    assert "left behind" in _said(found["warning"], "process")
    assert "No gateway runs" in cli.refused("send", "hello")
    cli.lines("token", "list")
    with cli.serving():
        assert not _look(cli)["warning"]


def test_a_gateway_that_does_not_answer(cli: Cli) -> None:
    process, _ = cli.serve()
    process.send_signal(signal.SIGSTOP)
    try:
        assert "does not answer" in _said(_look(cli, code=1)["error"], "ready")
    finally:
        process.send_signal(signal.SIGCONT)
        stop(process)


def test_a_port_that_is_taken(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cli.variables["THREADGATE_PORT"] = str(taken.getsockname()[1])
        assert "is taken by another program" in _said(_look(cli, code=1)["error"], "port")


def test_a_gateway_that_others_reach(cli: Cli) -> None:
    cli.variables |= {"THREADGATE_HOST": "0.0.0.0", "THREADGATE_BEHIND_TLS_PROXY": "true"}
    assert "without TLS" in _said(_look(cli)["warning"], "exposure")


def test_the_secrets_of_channels(cli: Cli) -> None:
    path = cli.home / "config.toml"
    table = '[[channels]]\nkind = "telegram"\naccount = "{}"\ntoken = "{}"\n'
    path.write_text(table.format("a", "env:BOT") + table.format("b", "1:literal"))
    path.chmod(0o644)
    found = _look(cli, "--config", str(path), code=1)
    assert "BOT is not set" in _said(found["error"], "channel")
    assert "mode 0644" in _said(found["error"], "configuration")
    assert "telegram:b" in _said(found["warning"], "channel")
    assert "literal" not in json.dumps(found)
    cli.variables["BOT"] = "1:there"
    path.chmod(0o600)
    _look(cli, "--config", str(path))


def test_the_key_of_the_vault(cli: Cli) -> None:
    _made(cli)
    path = cli.home / "config.toml"
    path.write_text('vault_key = "env:VAULT"')
    path.chmod(0o600)
    assert "VAULT is not set" in _said(_look(cli, "--config", str(path), code=1)["error"], "vault")
    cli.variables["VAULT"] = "nonsense"
    found = _look(cli, "--config", str(path), code=1)
    assert "holds no key" in _said(found["error"], "vault")
    assert "nonsense" not in json.dumps(found)
    cli.variables["VAULT"] = Fernet.generate_key().decode()
    assert "is there" in _said(_look(cli, "--config", str(path))["ok"], "vault")


def test_a_configuration_that_does_not_load_does_not_hide_the_rest(cli: Cli) -> None:
    _made(cli)
    path = cli.home / "config.toml"
    path.write_text("prot = 1\n[runs]\nconcurrent = 0")
    found = _look(cli, "--config", str(path), code=1)
    assert len(found["error"]) == 2
    assert _said(found["ok"], "audit")
