"""What is in the product and what is not: no revival of objects, no shell, no unpinned dependency."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PRODUCT: Final = ("protocol", "storage", "channels", "gateway", "clients/python/threadgate_client")
SOURCES: Final = sorted(path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))
REVIVING: Final = frozenset(
    {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "joblib"}
)
RUNNING: Final = frozenset({"eval", "exec", "compile", "__import__", "execfile"})
SHELLS: Final = frozenset({"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell"})


@cache
def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Every call of a file, with the name that is called (`yaml.load`)."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return [(ast.unparse(node.func), node) for node in nodes]


def test_unsafe_revival() -> None:
    """LangGraph CVE-2025-64439, CVE-2026-28277, CVE-2026-48775; DBOS: nothing stored becomes an object."""
    assert len(SOURCES) > 200, "the control: the product was found"
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & REVIVING, path
        for name, call in calls(path):
            assert name not in ("yaml.load", "yaml.unsafe_load", "yaml.full_load") or "Loader" in ast.dump(
                call
            ), path


def test_code_from_text() -> None:
    """CVE-2026-25593 (command injection), AstrBot template SSTI: no text is run, and no shell reads one."""
    for path in SOURCES:
        for name, call in calls(path):
            assert name not in RUNNING, f"{path}: {name}"
            owner, _, last = name.rpartition(".")
            assert last not in SHELLS or owner not in ("os", "subprocess", "asyncio", "commands"), (
                f"{path}: {name}"
            )
            shell = [one for one in call.keywords if one.arg == "shell"]
            assert not shell, f"{path}: {name}(shell=…)"


def test_yaml_is_read_safely() -> None:
    """Unsafe revival (CVE-2025-64439): YAML is read by a loader that makes plain values only."""
    for path in SOURCES:
        text = path.read_text()
        if re.search(r"^(import|from) yaml", text, re.MULTILINE):
            assert "SafeLoader" in text or "safe_load" in text, path


def test_weak_hashes() -> None:
    """AstrBot (MD5 dashboard password kept for compatibility): no MD5 or SHA-1 where something is proven."""
    for path in SOURCES:
        if "emulators" not in path.parts:  # they do what the networks they stand for do
            for name, _ in calls(path):
                assert name not in ("hashlib.md5", "hashlib.sha1"), f"{path}: {name}"


def test_certificates_are_verified() -> None:
    """Bearer and webhook leaks (GHSA-7vwx-582j-j332): no connection is made without looking at the certificate."""
    for path in SOURCES:
        for name, call in calls(path):
            for one in call.keywords:
                is_off = one.arg in ("verify", "ssl", "verify_ssl") and isinstance(one.value, ast.Constant)
                assert not (is_off and one.value.value is False), f"{path}: {name}"  # type: ignore[attr-defined]
        assert "CERT_NONE" not in path.read_text(), path


def test_secrets_are_compared_in_constant_time() -> None:
    """Timing of comparisons: where a secret is checked, `compare_digest` does it."""
    for name in ("gateway/edge/authentication.py", "channels/telegram/webhook.py"):
        assert "hmac.compare_digest" in (ROOT / name).read_text(), name


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_dependencies_are_locked_with_hashes(name: str) -> None:
    """LiteLLM 1.82.7/1.82.8 (backdoored 2026-03-24): each package is one version with hashes."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) > 40
    for line in lines:
        assert re.match(r"^[A-Za-z0-9._\[\]-]+==[^\s;]+", line), line[:80]
        assert "--hash=sha256:" in line, line[:80]
        assert "://" not in line and "--index" not in line, line[:80]
    assert not re.search(r"^litellm", text, re.MULTILINE)
    assert "--require-hashes" in (ROOT / "Makefile").read_text()


def test_no_plugin_is_loaded_from_outside() -> None:
    """Poisoned skills (AML.CS0049, ClawHavoc): nothing is downloaded to be run, nothing updates itself."""
    for path in SOURCES:
        for name, call in calls(path):
            text = ast.unparse(call)
            assert "pip install" not in text and "npx " not in text, f"{path}: {name}"
            assert name not in ("entry_points", "importlib.metadata.entry_points", "runpy.run_path"), (
                f"{path}: {name}"
            )


def test_sql_is_written_out() -> None:
    """SQL injection (LangGraph CVE-2025-67644): values are parameters; no statement is put together from text."""
    sources = set((ROOT / "storage").rglob("*.py")) - {
        ROOT / "storage/migrations.py"
    }  # which runs whole files
    for path in sources:
        for name, call in calls(path):
            if (
                name.rpartition(".")[2]
                in ("execute", "executemany", "executescript", "one", "all", "value", "run")
                and call.args
            ):
                text = call.args[0]
                assert not (
                    isinstance(text, ast.JoinedStr | ast.BinOp) and "PRAGMA" not in ast.unparse(text)
                ), f"{path}: {ast.unparse(text)[:80]}"
