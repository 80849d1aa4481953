"""What children that read an untrusted file start with: imported once, by their server alone.

Nothing of it is ever freed, so it is kept from the garbage collector, which would look at it again
and again.
"""

from __future__ import annotations

import gc

gc.disable()
import pipeline.intake.untrusted  # noqa: E402 (what the children run)
import pipeline.intake.worker  # noqa: E402, F401 (how they run it)
import stages.twin.whole_file  # noqa: E402, F401 (same)

gc.enable()
gc.freeze()
