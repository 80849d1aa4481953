"""Says how images come into the shape that a model takes."""

from __future__ import annotations


def shape_advice(found: tuple[int, ...], expected: tuple[int | None, ...]) -> str:
    """What to do about images of another shape; both shapes are of one image."""
    if len(expected) == 3 and len(found) == 2:
        axis = 1 if expected[0] in (1, 3, None) else 3
        return f"add the axis of channels with `numpy.expand_dims(images, {axis})`"
    if len(found) == len(expected) == 3:
        for axis in (0, 2):
            rest = [size for i, size in enumerate(expected) if i != axis]
            if [size for i, size in enumerate(found) if i != axis] != rest:
                continue
            if (found[axis], expected[axis]) == (1, 3):
                return f"make grey images coloured with `numpy.repeat(images, 3, {axis + 1})`"
            if (found[axis], expected[axis]) == (3, 1):
                return "make coloured images grey, such as with Pillow's `convert('L')`"
            if (found[axis], expected[axis]) == (4, 3):
                return "drop the channel of transparency, such as with Pillow's `convert('RGB')`"
    if len(expected) == 1:
        return "flatten each image with `images.reshape(len(images), -1)`"
    return "resize or crop the images to the model's input"
