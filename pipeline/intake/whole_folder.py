"""What is judged of a model's folder, and whether anything else can be served from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.file_digest import file_digest
from pipeline.intake.sandbox import Sandbox
from pipeline.printable import printable
from stages.errors import ModelRefused
from stages.export.detect import find_source, find_source_of_version
from stages.export.source import ModelSource
from stages.export.whole_folder import Unexplained, unexplained
from stages.onnx_file.external_data import weights_beside

_SHOWN, _KEPT = 3, 20
"""How many things a sentence and an attestation name."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is judged: `name` is its path in the folder, which is its own where there is none.

    `unexplained` says what else can be served from the folder; `accepted_files` are those files of
    it that the request accepts all the same, each with its sha256.
    """

    source: ModelSource
    name: str
    unexplained: tuple[str, ...] = ()
    accepted_files: tuple[str, ...] = ()

    def require_all(self) -> None:
        """Raises unless everything in the folder is judged, or accepted.

        Raises:
            ModelRefused: something else can be served.
        """
        if self.unexplained:
            raise ModelRefused(
                f"more than `{self.name}` can be served: {_listed(self.unexplained, _SHOWN)};"
                " remove what does not belong to the model, have the policy accept files by their"
                f" sha256 (`accepted_files`), or scan `{self.name}` by itself"
            )


def judged_of(
    model: str, sandbox: Sandbox, *, registered: bool, trusted: bool, accepted_files: Sequence[str]
) -> Judged:
    """The model that is judged, and what else is in its folder.

    The fields of a request; the `sandbox` is where an ONNX file says which weights lie beside it.

    Raises:
        CannotJudge: there is no such model, or the folder cannot be looked through.
        ConfigError: there is nothing at the path, or a folder without a model.
    """
    folder = Path(model)
    source = find_source_of_version(folder) if registered else find_source(model)
    if not folder.is_dir() or not _is_read_whole(folder, source):
        return Judged(source=source, name=source.path.name)
    found = _unexplained(folder, source, sandbox, code=trusted and not registered)
    digests = {each.file: file_digest(folder / each.file) for each in found}
    accepted = {name: one for name, one in digests.items() if one in accepted_files}
    return Judged(
        source=source,
        name=printable(source.path.relative_to(folder).as_posix()),
        unexplained=tuple(printable(each.what) for each in found if each.file not in accepted)[
            :_KEPT
        ],
        accepted_files=tuple(printable(f"{name} sha256:{one}") for name, one in accepted.items()),
    )


def _listed(things: tuple[str, ...], most: int) -> str:
    more = len(things) - most
    return ", ".join((*things[:most], *((f"{more} more",) if more > 0 else ())))


def _is_read_whole(folder: Path, source: ModelSource) -> bool:
    """Whether a folder is one that MLflow wrote, or holds an ONNX model; others are the model."""
    return source.framework == "onnx" or (folder / "MLmodel").is_file()


def _unexplained(
    folder: Path, source: ModelSource, sandbox: Sandbox, *, code: bool
) -> tuple[Unexplained, ...]:
    """What is not explained, also by the ONNX file, which is read only where files are left."""
    found = unexplained(folder, source, (), code=code)
    if source.framework != "onnx" or not any(_lies_beside(each, folder, source) for each in found):
        return found
    beside = tuple(_weights(folder, source, sandbox))
    return unexplained(folder, source, beside, code=code)


def _lies_beside(each: Unexplained, folder: Path, source: ModelSource) -> bool:
    return each.file != "MLmodel" and (folder / each.file).parent == source.path.parent


def _weights(folder: Path, source: ModelSource, sandbox: Sandbox) -> Iterator[str]:
    for name in sandbox.run(weights_beside, source.path.resolve()):
        if "/" not in name:
            yield (source.path.parent / name).relative_to(folder).as_posix()
