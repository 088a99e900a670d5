"""The configuration reference, generated from the settings models: `python -m gateway.reference --check|--write`.

The sentences under the fields are the documentation; this only lays them out. Called by `make check` and
`make schema`, never at run time.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from channels.registry import SETTINGS_BY_KIND
from gateway.agent_settings import (
    AGENT_SETTINGS,
    AgentSettings,
    FetchSettings,
    McpSettings,
    PackSettings,
    RouteSettings,
)
from gateway.governance_settings import (
    AnchorSettings,
    AuditSettings,
    BudgetSettings,
    DetectorSettings,
    OrganizationSettings,
    PrivacySettings,
    RetentionSettings,
    SinkSettings,
)
from gateway.policy_settings import ApprovalTerms, PolicySettings
from gateway.settings import ENV_PREFIX, LimitSettings, RunSettings, Settings

TARGET: Final = Path(__file__).parent.parent / "docs" / "configuration.md"
_SECTIONS: Final[Mapping[str, type[BaseModel]]] = {"runs": RunSettings, "limits": LimitSettings}
_GOVERNANCE: Final[Mapping[str, type[BaseModel]]] = {
    "[[organizations]]": OrganizationSettings,
    "[[policies]]": PolicySettings,
    "[policies.approval]": ApprovalTerms,
    "[[budgets]]": BudgetSettings,
    "[audit]": AuditSettings,
    "[[audit.anchors]]": AnchorSettings,
    "[[audit.sinks]]": SinkSettings,
    "[retention]": RetentionSettings,
    "[privacy]": PrivacySettings,
    "[[privacy.patterns]]": DetectorSettings,
}
_APART: Final = {*_SECTIONS, "agents", "routes", "channels"} | {name.strip("[]") for name in _GOVERNANCE}
"""Settings that have tables of their own."""
_AGENT_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "[agents.fetch]": FetchSettings,
    "[[agents.mcp]]": McpSettings,
    "[[agents.context_packs]]": PackSettings,
}
_INTRO: Final = f"""# Configuration

*Generated from the settings models by `make schema`; change the sentences there.*

One TOML file, `$XDG_CONFIG_HOME/threadgate/config.toml` (`~/.config/threadgate/config.toml`) unless `--config` says
otherwise, and the environment, which wins: `{ENV_PREFIX}PORT=9000`, nested keys with two underscores
(`{ENV_PREFIX}RUNS__CONCURRENT=8`), lists and tables as JSON. Options of a command win over both. A wrong value stops
the start and is reported with its key, where it came from and what is allowed; so is a key that does not exist.

Secrets are better given by reference: `env:NAME` reads an environment variable, `file:/path` a file,
`credential:NAME` what systemd loaded for the service (`LoadCredential=NAME:…`).
"""


def render() -> str:
    """The whole page."""
    lines = [_INTRO, "## Top level\n", *_table(Settings, skip=_APART)]
    for name, model in _SECTIONS.items():
        lines += _part(f"## `[{name}]`", model)
    lines += _agents()
    lines += _part("## `[[routes]]`", RouteSettings)
    for name, model in _GOVERNANCE.items():
        lines += _part(f"## `{name}`", model)
    for kind, channel in SETTINGS_BY_KIND.items():
        lines += _part(f'## `[[channels]]` with `kind = "{kind}"`', channel)
    return "\n".join(lines) + "\n"


def _agents() -> Iterator[str]:
    """What all agents have, then what each kind has beside it, then the tables inside."""
    yield from _part("## `[[agents]]`", AgentSettings, skip={"kind"})
    yield f"\n`kind` says what answers, `demo` unless told, and each kind has keys of its own: {_kinds()}."
    common = set(AgentSettings.model_fields)
    for kind, model in AGENT_SETTINGS.items():
        yield from _part(f'### `[[agents]]` with `kind = "{kind}"`', model, skip=common)
    for name, table in _AGENT_TABLES.items():
        yield from _part(f"### `{name}`", table)


def _kinds() -> str:
    return ", ".join(f"`{kind}`" for kind in AGENT_SETTINGS)


def _part(title: str, model: type[BaseModel], skip: set[str] | None = None) -> Iterator[str]:
    yield f"\n{title}\n"
    yield cleandoc(model.__doc__ or "")
    if set(model.model_fields) - (skip or set()):
        yield ""
        yield from _table(model, skip)


def _table(model: type[BaseModel], skip: set[str] | None = None) -> Iterator[str]:
    schema = model.model_json_schema()
    yield "| key | type | default | what it does |"
    yield "|---|---|---|---|"
    for name, field in schema["properties"].items():
        if name in (skip or ()):
            continue
        required = name in schema.get("required", ())
        default = "*required*" if required else f"`{_default(model, name)}`"
        about = " ".join(field.get("description", "").split()).replace("|", "\\|")
        yield f"| `{name}` | {_type(field)} | {default} | {about} |"


def _default(model: type[BaseModel], name: str) -> str:
    value = model.model_fields[name].get_default(call_default_factory=True)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return json.dumps(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, BaseModel):
        return "(as below)"
    if value is None:
        return "unset"
    return (
        "(XDG)" if isinstance(value, Path) else (str(value) if not isinstance(value, str) else f'"{value}"')
    )


def _type(field: Mapping[str, Any]) -> str:
    # What may be left out is written as a choice between it and null.
    choices = [one for one in field.get("anyOf", (field,)) if one.get("type") != "null"]
    return " \\| ".join(_one_type(choice) for choice in choices if choice.get("const") != "")


def _one_type(field: Mapping[str, Any]) -> str:
    if "$ref" in field or field.get("type") == "object":
        return "table"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    bounds = [
        f"{sign} {field[key]:.15g}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if key in field
    ]
    name = "list" if field.get("type") == "array" else str(field.get("type", "value"))
    return f"{name} {', '.join(bounds)}".strip()


def main() -> None:
    """Write the page, or say that it differs and how to mend it."""
    parser = argparse.ArgumentParser(description=__doc__)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--check", action="store_true")
    group.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        TARGET.write_text(render(), "utf-8")
    elif not TARGET.exists() or TARGET.read_text("utf-8") != render():
        sys.exit(f"docs/{TARGET.name} does not match the settings: run `make schema`")


if __name__ == "__main__":
    main()
