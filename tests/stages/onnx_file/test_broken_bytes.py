"""Laws for broken bytes: a file changed or cut off anywhere is refused, or still works."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from stages.errors import CannotJudge, ModelRefused
from tests.support import zoo
from tests.support.hostile_judging import judge, require_sentence
from tests.support.tiny_model import tiny

MUTATIONS = 150


def mutated(content: bytes, seed: int) -> bytes:
    """The content with up to four bits flipped or bytes replaced, dropped or doubled."""
    generator, changed = random.Random(seed), bytearray(content)  # noqa: S311 (no secret)
    for _ in range(generator.choice((1, 1, 2, 4))):
        place, way = generator.randrange(len(changed)), generator.randrange(4)
        if way == 0:
            changed[place] ^= 1 << generator.randrange(8)
        elif way == 1:
            changed[place] = generator.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif way == 2:
            del changed[place]
        else:
            changed.insert(place, changed[place])
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")  # whatever libraries warn of in a broken file
@pytest.mark.parametrize("source", ["tiny", "legacy-preserve", "dynamo-baked"])
def test_broken_bytes_never_escape(source: str, tmp_path: Path) -> None:
    """Whatever bytes of a real file are changed, it is refused in a sentence or still works."""
    content = tiny().SerializeToString() if source == "tiny" else zoo.exported("small_cnn", source)
    refusals = 0

    for seed in range(MUTATIONS):
        try:
            judge(mutated(content, seed), tmp_path)
        except CannotJudge as error:
            require_sentence(error)
            refusals += 1

    assert 0 < refusals < MUTATIONS


@pytest.mark.parametrize("step", [7, 31])
def test_every_beginning_of_a_file_is_refused(step: int, tmp_path: Path) -> None:
    """A file cut off anywhere before its end is no model, or one whose graph is incomplete."""
    content = tiny().SerializeToString()

    for end in range(1, len(content) - 20, step):
        with pytest.raises(ModelRefused) as told:
            judge(content[:end], tmp_path)
        require_sentence(told.value)
