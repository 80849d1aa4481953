"""Keys, data and cache lie apart, and the secret of the cache is its owner's."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mlflow_project import home


@pytest.fixture(params=["BAN_GATE_HOME", "HOME"])
def user(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user, with ban-gate's own variable and without."""
    monkeypatch.delenv("BAN_GATE_HOME", raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(request.param, str(tmp_path / "home"))
    return tmp_path / "home"


def test_keys_and_data_are_not_in_the_cache(user: Path) -> None:
    """Whoever restores or empties the cache touches no key; all of it is the user's."""
    cache = home.cache_folder()

    for folder in (home.key_folder(), home.data_folder()):
        assert not folder.is_relative_to(cache)
        assert folder.is_relative_to(user)
    assert cache.is_relative_to(user)


def test_the_secret_is_made_once_for_its_owner(user: Path) -> None:
    """Mode 0600, outside of the cache, and the same at every call."""
    first = home.cache_secret()

    assert first == home.cache_secret()
    assert first is not None
    assert len(first) == 32
    path = home.key_folder() / home.SECRET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.is_relative_to(home.cache_folder())
    assert path.is_relative_to(user)


def test_no_secret_means_no_cache(user: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither where none can be made nor where the file holds something else."""
    folder = home.key_folder()
    folder.mkdir(parents=True)
    (folder / home.SECRET).write_bytes(b"short")
    assert home.cache_secret() is None
    (folder / home.SECRET).unlink()
    (folder / home.SECRET).mkdir()
    assert home.cache_secret() is None

    assert caplog.text.count("no results are kept or reused") == 2
    assert user.exists()


def test_files_that_lay_beside_the_cache_move_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With their companions and a message; what is there already wins."""
    monkeypatch.delenv("BAN_GATE_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    former = tmp_path / ".cache" / "ban-gate"
    former.mkdir(parents=True)
    for name in ("key", "key.pub", "result"):
        (former / name).write_text(name)
    key = home.key_folder() / "key"

    assert home.moved_here(key, key.with_name("key.pub")) == key
    (former / "key").write_text("another")
    assert home.moved_here(key) == key

    assert key.read_text() == "key"
    assert key.with_name("key.pub").read_text() == "key.pub"
    assert (former / "result").exists()
    assert caplog.text.count("moved key from") == 1
