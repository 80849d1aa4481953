"""Cases of normalisation and of softmax."""

from __future__ import annotations

import numpy as np

from tests.support.operators.cases import (
    IMAGES,
    ROWS,
    Case,
    at_versions,
    case,
    draw,
)


def by_statistics() -> list[Case]:
    """BatchNormalization at every rank and version, LayerNormalization over every axis."""
    found = []
    for rank in (2, 3, 4, 5):
        x = draw(3, 4, *[2] * (rank - 2))
        four = {"s": draw(4), "b": draw(4), "m": draw(4) / 2, "v": np.abs(draw(4)) + 0.5}
        text = "y = BatchNormalization<epsilon=0.1, momentum=0.5>"
        found += at_versions("BatchNormalization", f"{text}(x, s, b, m, v)", x, **four)
        late = {**{name: four[name] for name in "sbv"}, "late_m": four["m"]}
        found.append(case(f"{text}(x, s, b, late_m, v)", x, **late))
    for axis in range(-4, 4):
        shape = IMAGES.shape[axis:]
        text = f"y = LayerNormalization<axis={axis}, epsilon=0.01>"
        found.append(case(f"{text}(x, s, b)", s=draw(*shape), b=draw(*shape) + 1))
        found.append(case(f"{text}(x, s)", s=draw(shape[-1])))
        found.append(case(f"{text}(x, late_s, b)", late_s=draw(*shape), b=draw(shape[-1])))
    instance = {"s": draw(3), "b": draw(3) + 1}
    for x in (draw(2, 3, 5), draw(2, 3, 4, 5), draw(2, 3, 2, 3, 2)):
        text = "y = InstanceNormalization<epsilon=0.1>(x, s, b)"
        found += at_versions("InstanceNormalization", text, x, **instance)
    late = {"late_s": draw(3), "b": draw(3)}
    return [*found, case("y = InstanceNormalization(x, late_s, b)", draw(2, 3, 4), **late)]


def others() -> list[Case]:
    """Normalisation by groups, mean square, length and neighbouring channels."""
    text = "y = GroupNormalization<num_groups=2, epsilon=0.01>(x, s, b)"
    rms = "y = RMSNormalization"
    return [
        case(text, opset=21, s=draw(4), b=draw(4) + 1),
        case(text, draw(2, 4, 3), 22, s=draw(4), b=draw(4) + 1),
        case(text, draw(3, 6, 2, 5), 18, s=draw(2), b=draw(2) + 1),
        *(case(f"{rms}<axis={a}>(x, s)", opset=23, s=draw(*IMAGES.shape[a:])) for a in (1, -2)),
        case(f"{rms}<epsilon=0.1>(x, s)", ROWS, 23, s=draw(1)),
        *(
            one
            for p in (1, 2)
            for axis in (-1, 1)
            for one in at_versions("LpNormalization", f"y = LpNormalization<axis={axis}, p={p}>(x)")
        ),
        *(
            one
            for size in (1, 3, 5)
            for one in at_versions(
                "LRN", f"y = LRN<size={size}, alpha=0.5, beta=0.6, bias=0.7>(x)", draw(2, 5, 3, 4)
            )
        ),
        *(
            one
            for p in (1, 2, 3)
            for one in at_versions("GlobalLpPool", f"y = GlobalLpPool<p={p}>(x)", IMAGES, until=21)
        ),
        *at_versions("Softmax", "y = Softmax(x)", IMAGES),
        *at_versions("Softmax", "y = Softmax<axis=1>(x)", IMAGES),
        *at_versions("LogSoftmax", "y = LogSoftmax(x)", IMAGES),
        *at_versions("LogSoftmax", "y = LogSoftmax<axis=2>(x)", IMAGES),
    ]


CASES = [*by_statistics(), *others()]
