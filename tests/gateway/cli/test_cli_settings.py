"""A configuration that cannot be used: every wrong key, where it stands, and what is allowed."""

import pytest
from cli_process import Cli

GOOD_CHANNEL = '[[channels]]\nkind = "telegram"\naccount = "a"\ntoken = "env:BOT"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", ["prot: there is no such setting; did you mean port?", "data_dir", "(from "]),
        ("[runs]\nconcurent = 1", ["runs.concurent", "did you mean concurrent?", "turn_timeout_s"]),
        ('[[agents]]\nid = "a"\nkin = "demo"', ["agents.0.kin", "did you mean kind?"]),
        ("port = 99999", ["port: input should be less than or equal to 65535"]),
        ('host = "0.0.0.0"', ["can be reached from elsewhere", "behind_tls_proxy"]),
        ("port = 1\nlog_level = 'loud'\n[runs]\nqueue_max = 0", ["log_level", "'info'", "runs.queue_max"]),
        ("port = ", ["is not valid TOML: Invalid value"]),
        ('[[channels]]\nkind = "icq"', ["channels.0.kind: it is one of", "telegram"]),
        (GOOD_CHANNEL.replace("account", "acount"), ["channels.0.account", "channels.0.acount", "account"]),
        (GOOD_CHANNEL * 2, ["every account may occur once"]),
        ('default_agent = "nobody"', ["'nobody' is none of the agents (demo)"]),
    ],
)
def test_a_file_that_cannot_be_used(text: str, words: list[str], cli: Cli) -> None:
    path = cli.home / "config.toml"
    path.write_text(text)
    said = cli.refused("serve", "--config", str(path))
    assert all(word in said for word in words), said
    assert cli.run("doctor", "--config", str(path)).returncode == 1


def test_the_file_is_named(cli: Cli) -> None:
    path = cli.home / "config.toml"
    path.write_text("prot = 1")
    assert f"(from {path})" in cli.refused("serve", "--config", str(path))
    assert "There is no configuration file" in cli.refused("serve", "--config", str(cli.home / "none.toml"))
    path.write_bytes(b"\xff")
    assert "is not UTF-8" in cli.refused("serve", "--config", str(path))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("THREADGATE_PROT", ["THREADGATE_PROT is not a setting", "did you mean THREADGATE_PORT?"]),
        ("THREADGATE_RUNS__CONCURENT", ["runs.concurent", "environment variable THREADGATE_RUNS__CONCURENT"]),
        ("THREADGATE_LOG_LEVEL", ["log_level", "(from the environment variable THREADGATE_LOG_LEVEL)"]),
    ],
)
def test_a_variable_that_cannot_be_used(name: str, words: list[str], cli: Cli) -> None:
    cli.variables[name] = "x"
    said = cli.refused("serve")
    assert all(word in said for word in words), said


def test_a_value_of_the_command_line(cli: Cli) -> None:
    assert "(from the command line)" in cli.refused("serve", "--port", "70000")


def test_a_secret_that_is_not_there(cli: Cli) -> None:
    path = cli.home / "config.toml"
    path.write_text(GOOD_CHANNEL)
    assert "environment variable BOT is not set" in cli.refused("serve", "--config", str(path), "--port", "0")
