"""Policies in the configuration: what cannot be meant is refused at load, with its key."""

from pathlib import Path

import pytest

from gateway.policy_settings import ApprovalTerms, PolicySettings
from gateway.settings import Settings, SettingsError, load


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load(path, {}, {"HOME": str(tmp_path)})


def test_a_rule_as_it_is_written(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        [[policies]]
        name = "issues need two"
        effect = "require_approval"
        reason = "Issues are public."
        tool = ["github.create_*"]
        channel = ["slack", "client"]
        time = "mon-fri 09:00-17:00 Europe/Berlin"
        approval = { approvers = ["role:approver", "user:usr_1", "slack:U1"], quorum = 2, expires_s = 3600 }
        """,
    )
    assert settings.policies == (
        PolicySettings(
            name="issues need two",
            effect="require_approval",
            reason="Issues are public.",
            tool=("github.create_*",),
            channel=("slack", "client"),
            time="mon-fri 09:00-17:00 Europe/Berlin",
            approval=ApprovalTerms(
                approvers=("role:approver", "user:usr_1", "slack:U1"), quorum=2, expires_s=3600
            ),
        ),
    )
    assert settings.policies[0].kinds() == ("tool", "device")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ('effect = "forbid"', "policies.0.effect: "),
        ("effect = true", "policies.0.effect: "),
        ('effect = "deny"\nterms = 1', "policies.0.terms: there is no such setting"),
        ('effect = "deny"\ntool = "github.*"', "policies.0.tool: "),
        ('effect = "deny"\ntool = [""]', "policies.0.tool.0: "),
        ('effect = "deny"\nrisk = ["grave"]', "policies.0.risk.0: "),
        ('effect = "deny"\nagent = ["dmeo"]', "policies.0.agent: 'dmeo' is none of the agents (demo)"),
        ('effect = "deny"\nchannel = ["slak"]', "policies.0.channel: 'slak' is none of client, discord, "),
        ('effect = "deny"\ntime = "always"', "policies.0.time: 'always' is no time zone known here"),
        ('effect = "deny"\ntime = "mon 9-17"', "policies.0.time: '9-17' is not understood there"),
        ('effect = "deny"\napproval = { quorum = 2 }', "approval: it belongs to the effect"),
        ('effect = "warn"\napproval = {}', "approval: it belongs to the effect"),
        ('effect = "deny"\nkind = ["message"]\ntool = ["a"]', "tool: an act of kind message has none"),
        ('effect = "deny"\nkind = ["release"]\nroom = ["C1"]', "room: an act of kind release has none"),
        ('effect = "deny"\nkind = ["tool", "pairing"]\nrisk = ["low"]', "risk: an act of kind pairing"),
        (
            'effect = "require_approval"\napproval = { quorum = 0 }',
            "policies.0.approval.quorum: ",
        ),
        (
            'effect = "require_approval"\napproval = { quorum = "2x" }',
            "policies.0.approval.quorum: ",
        ),
        (
            'effect = "require_approval"\napproval = { approvers = ["boss"] }',
            "policies.0.approval.approvers.0: 'boss' is nobody",
        ),
        (
            'effect = "require_approval"\napproval = { approvers = ["role:boss"] }',
            "policies.0.approval.approvers.0: 'boss' is no role: there are owner",
        ),
        (
            'effect = "require_approval"\napproval = { approvers = ["slack:U1"], quorum = 2 }',
            "policies.0.approval: quorum: 1 people cannot approve 2 times",
        ),
        (
            'effect = "require_approval"\napproval = { escalate_s = 60 }',
            "escalate_s and escalate_to are given together",
        ),
        (
            'effect = "require_approval"\napproval = { expires_s = 60, remind_s = 60 }',
            "remind_s comes before expires_s",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, keys: str, problem: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, f'[[policies]]\nname = "one"\n{keys}')
    assert problem in str(refused.value)


def test_two_rules_of_one_name_are_refused(tmp_path: Path) -> None:
    one = '[[policies]]\nname = "one"\neffect = "deny"\n'
    with pytest.raises(SettingsError, match="policies: every name may occur once"):
        read(tmp_path, one + one)


def test_a_pattern_of_agents_may_be_about_agents_to_come(tmp_path: Path) -> None:
    assert read(tmp_path, '[[policies]]\nname = "x"\neffect = "deny"\nagent = ["dmeo*", "demo"]').policies
