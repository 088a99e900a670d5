"""`token create|list|revoke`, with the gateway running and stopped."""

import pytest
from cli_process import Cli


def _life_of_a_token(cli: Cli) -> None:
    (secret,) = cli.lines("token", "create", "--role", "viewer", "--name", "a screen", "--ttl", "12h")
    assert secret.startswith("tgate_")
    (found,) = [token for token in cli.json("token", "list") if token["name"] == "a screen"]
    assert (found["role"], found["revoked_at"]) == ("viewer", None)
    assert secret not in cli.run("token", "list").stdout
    assert cli.lines("token", "revoke", found["id"]) == [f"revoked {found['id']}"]
    assert "revoked" in next(line for line in cli.lines("token", "list") if found["id"] in line)


def test_the_life_of_a_token_while_the_gateway_runs(running: Cli) -> None:
    _life_of_a_token(running)


def test_the_life_of_a_token_while_it_is_stopped(cli: Cli) -> None:
    _life_of_a_token(cli)


@pytest.mark.parametrize("is_running", [True, False])
def test_an_unknown_token_is_not_revoked(is_running: bool, running: Cli, cli: Cli) -> None:
    where = running if is_running else cli
    where.lines("token", "create", "--role", "owner")
    assert "There is no token tok_nope" in where.refused("token", "revoke", "tok_nope", code=1)


def test_asking_makes_no_store(cli: Cli) -> None:
    assert "There is no store" in cli.refused("token", "list")
    assert "There is no store" in cli.refused("token", "revoke", "tok_1")
    assert not cli.data_dir.exists()


def test_a_time_that_is_none(cli: Cli) -> None:
    assert "12h or 30d" in cli.refused("token", "create", "--role", "owner", "--ttl", "soon")


def test_a_viewer_reads_and_does_not_speak(running: Cli) -> None:
    (secret,) = running.lines("token", "create", "--role", "viewer")
    running.lines("threads", "--token", secret)
    assert "message.send" in running.refused("send", "hello", "--token", secret)


AGENTS = '[{"id": "demo"}, {"id": "crew", "kind": "remote"}]'


def _token_of_an_agent(cli: Cli) -> None:
    (secret,) = cli.lines("token", "create", "--role", "agent", "--agent", "crew", "--name", "workers")
    assert secret.startswith("tgate_")
    (found,) = [token for token in cli.json("token", "list") if token["name"] == "workers"]
    assert (found["role"], found["agent_id"]) == ("agent", "crew")


def test_a_token_of_an_agent_while_the_gateway_is_stopped(cli: Cli) -> None:
    cli.variables["THREADGATE_AGENTS"] = AGENTS
    _token_of_an_agent(cli)


def test_a_token_of_an_agent_while_the_gateway_runs(cli: Cli) -> None:
    cli.variables["THREADGATE_AGENTS"] = AGENTS
    with cli.serving():
        _token_of_an_agent(cli)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--role", "agent"], "one of: crew"),
        (["--role", "agent", "--agent", "demo"], "no agent demo of kind remote"),
        (["--role", "agent", "--agent", "nobody"], "no agent nobody of kind remote"),
        (["--role", "viewer", "--agent", "crew"], "--role agent only"),
    ],
)
def test_an_agent_is_named_for_agents_alone(cli: Cli, given: list[str], said: str) -> None:
    cli.variables["THREADGATE_AGENTS"] = AGENTS
    assert said in cli.refused("token", "create", *given)
    assert not cli.data_dir.exists(), "nothing was made"
