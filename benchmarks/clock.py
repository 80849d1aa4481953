"""What a device takes: a processor's time, however busy the machine is, or a GPU's own."""

from __future__ import annotations

import time

import torch


def seconds(device: torch.device) -> float:
    """Seconds so far of this process, all threads together; on a GPU, those of the wall once all
    that it was given is done.
    """
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()
