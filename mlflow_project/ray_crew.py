"""The crew of a scan on a Ray cluster: a task for each part of a search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from mlflow_project.errors import ClusterError
from mlflow_project.ray_cluster import first_line, join, ray_itself
from pipeline.allocation import kept_memory
from pipeline.pace.crew import Crew
from stages.searches.search import Subject
from stages.twin.arithmetic import compute_exactly

T = TypeVar("T")


class RayCrew:
    """Hands parts of a scan out as tasks of a cluster that this process has joined.

    Each asks for one core, and for a GPU where the scan computes on one. A task whose machine is
    lost is started again by Ray.
    """

    def __init__(self, ray: Any) -> None:
        """`ray` is the module, whose cluster is joined."""
        self._ray = ray
        self._task = ray.remote(num_cpus=1)(_work)
        self._shared: dict[Subject, Any] = {}

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        """Makes a task of it; a subject is put into the object store once."""
        subject = next(each for each in arguments if isinstance(each, Subject))
        given = [self._put(each) if isinstance(each, Subject) else each for each in arguments]
        task = self._task.options(num_gpus=int(subject.twin.device.type == "cuda"))
        future: Future[T] = task.remote(torch.get_num_threads(), work, *given).future()
        return future

    def _put(self, subject: Subject) -> Any:
        if subject not in self._shared:
            self._shared[subject] = self._ray.put(subject)
        return self._shared[subject]


@contextmanager
def ray_crew(address: str) -> Iterator[Crew]:
    """A crew on the cluster at an address as Ray takes it; `auto` takes any, else starts one here.

    Raises:
        ConfigError: Ray is not installed, or there is no such cluster.
        ClusterError: it failed on the way.
    """
    ray = ray_itself()
    join(ray, None if address == "auto" else address)
    try:
        yield RayCrew(ray)
    except ray.exceptions.RayTaskError:
        raise  # our own fault, wherever it happened
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"the Ray cluster failed ({first_line(error)}); scan again, or without `--ray`",
            outage=True,
        ) from error
    finally:
        ray.shutdown()


def _work(threads: int, work: Callable[..., T], *arguments: object) -> T:
    """The task: with as many threads as the scan has, since sums depend on their number."""
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        compute_exactly()
    with kept_memory():
        return work(*arguments)
