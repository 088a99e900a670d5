"""`users list|save|link` and the tokens of users; organizations by --org."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import Cli

ORGANIZATIONS = '[{"id": "org_acme", "name": "Acme"}]'


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A running gateway of two organizations."""
    cli = Cli(tmp_path_factory.mktemp("two"))
    cli.variables["THREADGATE_ORGANIZATIONS"] = ORGANIZATIONS
    with cli.serving():
        yield cli


def test_a_user_is_made_changed_and_shut_out(two: Cli) -> None:
    (user_id,) = two.lines("users", "save", "--name", "Grace\x1b[2J", "--role", "operator")
    assert user_id.startswith("prn_")
    (secret,) = two.lines("token", "create", "--role", "operator", "--user", user_id, "--name", "laptop")
    two.lines("threads", "--token", secret)
    assert two.lines("users", "save", user_id, "--role", "viewer", "--name", "Grace") == [user_id]
    (shown,) = [user for user in two.json("users", "list", "--kind", "user") if user["id"] == user_id]
    assert (shown["name"], shown["role"], shown["links"]) == ("Grace", "viewer", [])
    assert "message.send" in two.refused("send", "hello", "--token", secret)
    two.lines("users", "save", user_id, "--disable")
    assert "does not accept this token" in two.refused("threads", "--token", secret)
    assert "disabled" in next(line for line in two.lines("users", "list") if user_id in line)
    two.lines("users", "save", user_id, "--enable")
    two.lines("threads", "--token", secret)


def test_what_is_missing_or_does_not_fit_is_said(two: Cli) -> None:
    assert "--name and --role" in two.refused("users", "save", "--name", "Grace")
    assert "Name one" in two.refused("users", "save", "--name", "G", "--role", "viewer", "--disable")
    assert "no such user" in two.refused("users", "save", "prn_nobody", "--disable").lower()
    assert "No chat identity" in two.refused("users", "save", "prn_nobody", "--unlink", "slack:a:U1", code=1)


def test_a_code_is_shown_to_a_user_and_the_wrong_one_refused(two: Cli) -> None:
    (user_id,) = two.lines("users", "save", "--name", "Ada", "--role", "viewer")
    (secret,) = two.lines("token", "create", "--role", "viewer", "--user", user_id)
    begun = two.run("users", "link", "--token", secret)
    assert begun.stdout.startswith("/link ")
    assert "direct message" in begun.stderr
    assert "shown this code" in two.refused("users", "link", "ZZZZ-ZZZZ", "--token", secret)
    assert "Only users" in two.refused("users", "link"), "the local operator is none"


def test_a_token_has_networks_a_rate_and_is_rotated(two: Cli) -> None:
    (old,) = two.lines(
        "token", "create", "--role", "viewer", "--name", "ci", "--network", "127.0.0.0/8", "--network", "::1/128",
        "--rate", "200",
    )  # fmt: skip
    (found,) = [token for token in two.json("token", "list") if token["name"] == "ci"]
    assert (found["networks"], found["requests_per_s"]) == (["127.0.0.0/8", "::1/128"], 200.0)
    (new,) = two.lines("token", "create", "--rotates", found["id"], "--overlap", "1d", "--name", "ci 2")
    (later,) = [token for token in two.json("token", "list") if token["name"] == "ci 2"]
    assert (later["rotated_from"], later["principal_id"]) == (found["id"], found["principal_id"])
    for secret in (old, new):
        two.lines("threads", "--token", secret)
    (away,) = two.lines("token", "create", "--role", "viewer", "--network", "192.0.2.0/24")
    assert "its own networks" in two.refused("threads", "--token", away)
    assert "Range 1 is none" in two.refused("token", "create", "--role", "viewer", "--network", "office")
    assert "needs a role" in two.refused("token", "create")


def test_an_organization_is_chosen_by_who_holds_the_machine(two: Cli) -> None:
    (user_id,) = two.lines("users", "save", "--name", "Hers", "--role", "owner", "--org", "org_acme")
    assert user_id in "\n".join(two.lines("users", "list", "--org", "org_acme"))
    assert user_id not in "\n".join(two.lines("users", "list"))
    (secret,) = two.lines("token", "create", "--role", "owner", "--user", user_id, "--org", "org_acme")
    two.lines("threads", "--token", secret)
    assert user_id in "\n".join(two.lines("users", "list", "--token", secret)), (
        "a token says where it belongs"
    )
    assert "one organization" in two.refused("users", "list", "--token", secret, "--org", "org_acme")
    assert "no such organization" in two.refused("users", "list", "--org", "org_nobody").lower()


def test_organizations_while_the_gateway_is_stopped(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    cli.variables["THREADGATE_ORGANIZATIONS"] = ORGANIZATIONS
    cli.lines("token", "create", "--role", "owner", "--name", "hers", "--org", "org_acme")
    assert [token["name"] for token in cli.json("token", "list", "--org", "org_acme")] == ["hers"]
    assert cli.json("token", "list") == []
    assert "no organization org_nobody" in cli.refused(
        "token", "create", "--role", "owner", "--org", "org_nobody"
    )
    cli.variables["THREADGATE_ORG"] = "org_acme"
    assert [token["name"] for token in cli.json("token", "list")] == ["hers"]


def test_a_configuration_names_each_organization_once_and_channels_name_one_of_them(cli: Cli) -> None:
    cli.variables["THREADGATE_ORGANIZATIONS"] = '[{"id": "org_a", "name": "A"}, {"id": "org_a", "name": "B"}]'
    assert "every id may occur once" in cli.refused("serve")
    cli.variables["THREADGATE_ORGANIZATIONS"] = ORGANIZATIONS
    cli.variables["THREADGATE_CHANNELS"] = (
        '[{"kind": "telegram", "account": "a", "token": "1:x", "org": "org_other"}]'
    )
    assert "none of the organizations (org_acme, org_default)" in cli.refused("serve")
