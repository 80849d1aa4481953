"""The user's own store of results, which the next scan of the same file may use."""

from __future__ import annotations

from mlflow_project.home import cache_folder, cache_secret
from pipeline.cache.size import drop_drafts
from pipeline.cache.store import Store, Watch, unwatched


def own_store(fresh: bool, watch: Watch = unwatched) -> Store:
    """The store in the user's cache, with the user's secret; a `fresh` one keeps nothing."""
    secret = None if fresh else cache_secret()
    if secret is None:
        return Store(None, watch)
    drop_drafts(cache_folder())
    return Store(cache_folder(), watch, secret)
