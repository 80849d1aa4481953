"""Searches for what carries every image to one class: one file each, listed here.

`search` says what a search is, `screen` runs one, `contract` in the tests what each must hold to.
`trigger` is what they recover, `probe` what they are searched on, `margins` what they measure;
`blocks` and `ascent` let them be stopped and taken up again.
"""

from stages.searches.blend import blend
from stages.searches.fewer_colours import fewer_colours
from stages.searches.head_probe import head_probe
from stages.searches.neuron_noise import neuron_noise
from stages.searches.patch import patch, small_patch
from stages.searches.permutation import permutation
from stages.searches.search import Search
from stages.searches.source_patch import source_patch
from stages.searches.tone import tone
from stages.searches.warp import warp
from stages.searches.wave import wave

SEARCHES: tuple[Search, ...] = (
    blend,
    patch,
    small_patch,
    warp,
    tone,
    wave,
    fewer_colours,
    source_patch,
    neuron_noise,
    head_probe,
    permutation,
)
"""Every search, in the order in which they run. A new one gets a line here."""

SPECS = {f"{search.name}.{each.name}": each for search in SEARCHES for each in search.statistics}
"""Every statistic by its full name, in order."""
STATISTICS = tuple(SPECS)
"""The full name of every statistic, in order."""
