"""Versions that no webhook told of are found in a real registry, and notes are put on others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import mlflow
import pytest
from mlflow import MlflowClient

from mlflow_project.listener import catch_up
from mlflow_project.listener.catch_up import CatchUp, questions
from mlflow_project.listener.config import Gates, GateSettings, ListenConfig, ListenSettings
from mlflow_project.listener.job_queue import JobQueue
from mlflow_project.listener.registered import never_gated, note_given_up
from mlflow_project.listener.webhook import Delivery, ModelVersionName
from tests.support.mlflow_servers import serving

pytestmark = pytest.mark.usefixtures("mlflow_settings")
GATE = GateSettings(samples="runs:/1/clean.npz")


@pytest.fixture
def names(sqlite_store: str) -> Iterator[list[str]]:
    """Two models with two versions each in a database; the first of each was gated."""
    mlflow.set_tracking_uri(sqlite_store)
    client = MlflowClient()
    made = [f"{word} {uuid4().hex[:8]}" for word in ("it's", "模型 (v2)")]
    for name in made:
        client.create_registered_model(name)
        for _ in range(2):
            client.create_model_version(name, "s3://bucket/x", await_creation_for=0)
        client.set_model_version_tag(name, "1", "ban.attestation", "signed")
    return made


def _question(store: str, names: list[str] | None) -> dict[str, object]:
    return {"tracking_uri": store, "workspace": "", "names": names}


def test_what_carries_no_verdict_is_found(sqlite_store: str, names: list[str]) -> None:
    """By name, whatever is in it, or among all; until a note says that it was given up."""
    wanted = {(name, 2) for name in names}

    def found(asked: list[str] | None) -> set[tuple[str, int]]:
        answer = never_gated(_question(sqlite_store, asked))
        return {(each["name"], each["version"]) for each in answer}

    assert found(names) == wanted
    assert wanted <= found(None)
    note = {"name": names[0], "version": 2, "said": "the storage is away" * 1000}
    note_given_up({**_question(sqlite_store, None), **note})
    assert found(names) == {(names[1], 2)}
    tags = MlflowClient().get_model_version(names[0], "2").tags
    assert tags["ban.given_up"].startswith("the storage is away")


@pytest.mark.nightly
def test_the_same_name_in_two_workspaces_is_two_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real server: each is found in its own, keeps its workspace, and is queued once."""
    monkeypatch.setenv("PYTHONPATH", str(Path(catch_up.__file__).parents[2]))
    teams = ("team-a", "team-b")
    with serving(tmp_path / "server", ("--enable-workspaces",)) as (url, _):
        mlflow.set_tracking_uri(url)
        for team in teams:
            MlflowClient().create_workspace(team)
        for team in teams:
            monkeypatch.setenv("MLFLOW_WORKSPACE", team)
            MlflowClient().create_registered_model("shared")
            MlflowClient().create_model_version("shared", "s3://b/x", await_creation_for=0)
        monkeypatch.delenv("MLFLOW_WORKSPACE")
        gates = Gates(models={"shared": GateSettings(samples="x", tracking_uri=url)})
        config = ListenConfig(
            settings=ListenSettings(), gates=Gates(), workspaces=dict.fromkeys(teams, gates)
        )
        with closing(JobQueue(tmp_path / "listen.db")) as queue:
            asking = CatchUp(queue, config)
            assert asking.once()
            assert asking.once()
            jobs = queue.jobs("queued")

    assert sorted((each.workspace, each.name, each.version) for each in jobs) == [
        ("team-a", "shared", 1),
        ("team-b", "shared", 1),
    ]


def test_each_registry_is_asked_for_what_is_gated() -> None:
    """By name where models are named, for all where there is a default, in each workspace."""
    elsewhere = GateSettings(samples="runs:/1/clean.npz", tracking_uri="http://other")
    config = ListenConfig(
        settings=ListenSettings(),
        gates=Gates(models={"a": GATE, "b": elsewhere, "c": GATE}),
        workspaces={"team": Gates(models={"a": GATE}, default=GATE)},
    )

    asked = {(each["tracking_uri"], each["workspace"]): each["names"] for each in questions(config)}

    assert asked == {("", ""): ["a", "c"], ("http://other", ""): ["b"], ("", "team"): None}


def test_a_pass_queues_notes_and_survives_a_registry_that_is_away(
    tmp_path: Path, sqlite_store: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through processes of its own, as the listener asks."""
    gates = {
        names[0]: GateSettings(samples="x", tracking_uri=sqlite_store),
        names[1]: GateSettings(samples="x", tracking_uri="http://127.0.0.1:9"),
    }
    config = ListenConfig(settings=ListenSettings(), gates=Gates(models=gates))
    monkeypatch.setenv("PYTHONPATH", str(Path(catch_up.__file__).parents[2]))
    with closing(JobQueue(tmp_path / "listen.db")) as queue:
        given_up = ModelVersionName(name=names[0], version=1)
        queue.accept(Delivery(id="1", created=given_up), wanted=True, now=0, keep=1)
        job = queue.claim(1.0)
        assert job is not None
        queue.finish(job, "given up", code=4, said="no storage")
        asking = CatchUp(queue, config)

        assert not asking.once()

        assert asking.failures == 1
        assert [(each.name, each.version) for each in queue.jobs("queued")] == [(names[0], 2)]
        assert queue.jobs("given up")[0].told
    assert MlflowClient().get_model_version(names[0], "1").tags["ban.given_up"] == "no storage"
