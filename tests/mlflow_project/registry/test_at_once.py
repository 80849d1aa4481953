"""Promotions of one model that run at once: none fails, and the newest can always be put right."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import mlflow
import pytest
from mlflow import MlflowClient

from mlflow_project.registry import alias

VERSIONS = range(1, 7)


@pytest.mark.usefixtures("mlflow_settings")
def test_promotions_at_once_end_with_a_version_that_one_of_them_reported(
    sqlite_store: str,
) -> None:
    """Whoever is overtaken says by whom; the newest version, promoted again, has the alias."""
    mlflow.set_tracking_uri(sqlite_store)
    client, name = MlflowClient(), f"net {uuid4().hex[:8]}"
    client.create_registered_model(name)
    for _ in VERSIONS:
        client.create_model_version(name, "s3://bucket/x", await_creation_for=0)

    with ThreadPoolExecutor(len(VERSIONS)) as pool:
        told = list(pool.map(lambda each: alias.promote(client, name, each, "live"), VERSIONS))

    moved = [each for each, one in zip(VERSIONS, told, strict=True) if one.moved]
    assert alias.holder(client, name, "live") in moved
    assert all(
        one.overtaken_by > each
        for each, one in zip(VERSIONS, told, strict=True)
        if one.overtaken_by
    )
    assert alias.promote(client, name, VERSIONS[-1], "live").moved
    assert alias.holder(client, name, "live") == VERSIONS[-1]
    assert not alias.promote(client, name, 1, "live").moved
