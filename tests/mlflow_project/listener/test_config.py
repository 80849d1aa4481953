"""The listener's configuration says how each model is gated, or is refused in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_project.listener.config import (
    GATE_COMMAND,
    SECRET_VARIABLE,
    ListenConfig,
    ListenSettings,
    load_listen_config,
    webhook_secret,
)
from mlflow_project.listener.webhook import ModelVersionName
from stages.errors import ConfigError

Load = Callable[[str], ListenConfig]


def _version(name: str, workspace: str = "") -> ModelVersionName:
    return ModelVersionName(name=name, version=1, workspace=workspace)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Reads a configuration that lies beside `clean.npz` and `secret`."""
    (tmp_path / "clean.npz").write_bytes(b"samples")
    (tmp_path / "secret").write_text("sixteen characters or more\n")

    def run(text: str) -> ListenConfig:
        (tmp_path / "listen.toml").write_text(text)
        return load_listen_config(tmp_path / "listen.toml")

    return run


def test_a_model_has_its_own_gate(load: Load, tmp_path: Path) -> None:
    """Every setting becomes an option of the gate, files by their absolute path."""
    config = load(
        '[models."my net"]\nsamples = "clean.npz"\npromote = "champion"\nreference = ["a", "b"]\n'
        'set = ["blend.faint_steps=3"]\ntracking_uri = "http://host:5000"\nexperiment = "gates"'
    )

    gate = config.gate_for(_version("my net"))
    assert gate is not None
    assert gate.arguments(ModelVersionName(name="my net", version=7)) == [
        "models:/my net/7",
        f"--samples={tmp_path}/clean.npz",
        "--promote=champion",
        "--tracking-uri=http://host:5000",
        "--experiment=gates",
        "--set=blend.faint_steps=3",
        "--reference=a",
        "--reference=b",
    ]
    assert config.settings.command == ()
    assert (sys.executable, "-m", "mlflow_project", "gate") == GATE_COMMAND
    assert config.gate_for(_version("another")) is None


def test_the_default_gates_whatever_is_not_named(load: Load) -> None:
    """And only that; samples may be an artifact of MLflow."""
    config = load('[default]\nsamples = "runs:/1/clean.npz"\n[models.net]\nsamples = "clean.npz"\n')

    assert config.gate_for(_version("another")) == config.gates.default
    assert config.gates.default is not None
    assert config.gates.default.samples == "runs:/1/clean.npz"
    assert config.gate_for(_version("net")) != config.gates.default


def test_each_workspace_has_its_own_gates(load: Load) -> None:
    """Models of one name are told apart; the default is everybody's that names none of its own."""
    config = load(
        '[models.net]\nsamples = "runs:/1/first"\n[default]\nsamples = "runs:/1/default"\n'
        '[workspaces.team-a.models.net]\nsamples = "runs:/1/a"\n'
        '[workspaces.team-b.default]\nsamples = "runs:/1/b"\n'
    )

    def samples(name: str, workspace: str) -> str | None:
        gate = config.gate_for(_version(name, workspace))
        return gate.samples if gate else None

    assert samples("net", "") == samples("net", "default") == "runs:/1/first"
    assert samples("net", "team-a") == "runs:/1/a"
    assert samples("other", "team-a") is None
    assert samples("net", "team-b") == "runs:/1/b"
    assert samples("net", "team-c") == "runs:/1/default"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[default]\nsamples = "clean.npz"\npromote = "latest"', "'latest' is reserved"),
        ('[default]\nsamples = "clean.npz"\npromote = "my alias"', "none that MLflow takes"),
        ("workspaces = 3\n[default]", "`workspaces` is 3, expected a section"),
        (
            'workspaces.a = 3\n[default]\nsamples = "clean.npz"',
            "`workspaces.a` is 3, expected a section",
        ),
        ('[workspaces.a]\nsamples = "x"', "unknown setting `workspaces.a.samples`"),
        ("catch_up = -1\n[default]", "`catch_up` is -1, expected"),
        ("", "names no model"),
        ("x", "cannot be read"),
        ("models = 3", "`models` is 3, expected a section"),
        ("models.net = 3", "`models.net` is 3, expected a section"),
        ("default = 3", "`default` is 3, expected a section"),
        ("[models.net]", "samples"),
        ("[models.net]\nsamples = 3", "`models.net.samples` is 3, expected a text"),
        ('[models.net]\nsamples = "gone.npz"', "`samples` is `gone.npz`, which is not in"),
        ('[default]\nsamples = "clean.npz"\npolicy = "gone"', "`policy` is `gone`"),
        (
            '[default]\nsamples = "clean.npz"\nsample = "a"',
            "unknown setting `default.sample`; did you mean `default.samples`",
        ),
        ("max_ages = 3\n[default]", "unknown setting `max_ages`; did you mean `max_age`"),
        ("[default]", "`default.samples` is missing, expected a text"),
        ("max_age = -3\n[default]", "`max_age` is -3"),
        ("attempts = 0\n[default]", "`attempts` is 0"),
        ('attempts = "3"\n[default]', "`attempts` is '3'"),
        ("command = 'nice'\n[default]", "`command` is 'nice', expected a list of texts"),
        ('tls_key = "secret"\n[default]\nsamples = "clean.npz"', "go together"),
        ('secret_file = "gone"\n[default]\nsamples = "clean.npz"', "`secret_file` is `gone`"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(load: Load, text: str, sentence: str) -> None:
    """It says which setting, what was found and what was expected."""
    with pytest.raises(ConfigError, match=sentence) as caught:
        load(text)

    assert "\n" not in str(caught.value).strip()


def test_the_secret_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment wins; the line break at a file's end is none of it."""
    (tmp_path / "secret").write_text("the secret in the file\n")
    settings = ListenSettings(secret_file=str(tmp_path / "secret"))

    assert webhook_secret(settings) == "the secret in the file"
    monkeypatch.setenv(SECRET_VARIABLE, "the secret of the environment")
    assert webhook_secret(settings) == "the secret of the environment"


def test_a_missing_or_short_secret_is_refused(tmp_path: Path) -> None:
    """Without a secret everybody could start gates."""
    (tmp_path / "secret").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match="has 0 characters, expected 16"):
        webhook_secret(ListenSettings())
    with pytest.raises(ConfigError, match="cannot be read"):
        webhook_secret(ListenSettings(secret_file=str(tmp_path / "secret")))
