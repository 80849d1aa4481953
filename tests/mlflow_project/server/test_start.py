"""A guarded server that is not told what to guard, or by whose word, does not start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.guarded_server import settings_in
from tests.support.places import ROOT


def test_a_server_without_a_policy_does_not_start(tmp_path: Path) -> None:
    """`mlflow server` itself ends with one sentence and exit 2, before it serves anything."""
    environment = {name: value for name, value in os.environ.items() if "BAN_GATE" not in name}
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "ban-gate"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'm.db'}", "--workers", "1"]
    environment["PYTHONPATH"] = str(ROOT)

    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.endswith(
        "Error: the server does not start unguarded: `BAN_GATE_POLICY` is not set; set it to the"
        " policy's TOML file\n"
    )


def test_wrong_settings_are_one_sentence(tmp_path: Path) -> None:
    """No file, no TOML, nothing to protect, no key, no public key; never a guard that guesses."""
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "none.toml").write_text("protected_aliases = []")
    (tmp_path / "wrong.toml").write_text("protect = 3")
    settings = settings_in(tmp_path)
    key = settings["BAN_GATE_VERIFY_KEY"]
    cases = [
        ("gone.toml", key), ("wrong.toml", key), ("none.toml", key), ("empty.toml", ""),
        ("empty.toml", "gone.pem"), ("empty.toml", "empty.toml"), ("empty.toml", key),
    ]  # fmt: skip
    environment = os.environ | settings

    done = subprocess.run(
        [sys.executable, "-c", GUARDS, json.dumps(cases)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    *sentences, guard = json.loads(done.stdout.splitlines()[-1])
    expected = [
        "`gone.toml` cannot be read", "unknown setting `protect`", "protects no alias",
        "no key is trusted", "`gone.pem` is no file", "`empty.toml` holds no",
    ]  # fmt: skip
    assert [part for part, said in zip(expected, sentences, strict=True) if part not in said] == []
    assert guard == "guards"


GUARDS = """
import json, os, sys
from mlflow_project.server.app import CannotStart, guard_from_environment
said = []
for policy, key in json.loads(sys.argv[1]):
    os.environ |= {"BAN_GATE_POLICY": policy, "BAN_GATE_VERIFY_KEY": key}
    try:
        guard_from_environment()
        said.append("guards")
    except CannotStart as error:
        said.append(error.message)
print(json.dumps(said))
"""
