"""Keys on the command line and in the environment: files, URIs, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.gate import keys
from tests.support.gating import call, gate
from tests.support.places import DEMO

SECRET = "hush-hush"  # noqa: S105 (what no message may show)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs, with a key beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BAN_GATE_HOME", str(tmp_path / "home"))
    keys.make_key(tmp_path / "gate.pem")
    return tmp_path


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("gone.pem", "`gone.pem` is no file"),
        ("file:gone.pem", "`gone.pem` is no file"),
        (f"https://{SECRET}", "`https:` is no place of keys"),
        (f"hv:{SECRET}", "pip install 'securesystemslib[vault]'"),
        (f"-----BEGIN PRIVATE KEY-----\n{SECRET}", "the text of a key was given"),
        ("gate.pub.pem", "holds no private key that can be used"),
    ],
)
@pytest.mark.parametrize("way", ["option", "environment"])
def test_a_wrong_key_is_one_sentence_before_anything_else(
    place: str, told: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, without what may be a secret; the registry is not asked."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("securesystemslib.signer._vault_signer.VAULT_IMPORT_ERROR", "missing")
    if way == "environment":
        monkeypatch.setenv("BAN_GATE_SIGNING_KEY", place)

    done = gate("models:/digits/1", *(("--signing-key", place) if way == "option" else ()))

    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert SECRET not in done.output


def test_the_public_half_of_any_key_is_written(folder: Path) -> None:
    """For whoever verifies; a file that is there is never replaced."""
    made = keys.read_private(folder / "gate.pem").public_key

    done = call("keygen", "--public-of", "file:gate.pem", "--output", "copy.pem")
    again = call("keygen", "--public-of", "file:gate.pem", "--output", "copy.pem")

    assert done.exit_code == 0, done.output
    assert done.stdout == f"copy.pem  {made.keyid}\n"
    assert keys.read_public(folder / "copy.pem") == made
    assert (again.exit_code, "choose a new file" in again.stderr) == (2, True)


def test_a_token_without_its_pin_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PIN comes by the environment, never by an option or a URI."""
    from mlflow_project.gate import default_key  # noqa: PLC0415 (as the command does)

    monkeypatch.setenv("BAN_GATE_KEY_PIN", SECRET)

    assert default_key.secret("pin") == SECRET
    monkeypatch.delenv("BAN_GATE_KEY_PIN")
    done = call("gate", "models:/a/1", "--samples", DEMO / "samples.npz", "--signing-key", "hsm:")
    assert done.exit_code == 2
    assert "`hsm:`" in done.stderr
