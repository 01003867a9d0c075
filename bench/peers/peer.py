"""The other side of a comparison: a workload in PyTorch, in a process that lives as long as the comparison.

Takes one argument, JSON: {"workload": "W1", "mode": "eager" | "tuned", "threads": 2, "data": FOLDER, ...}. Prints one JSON
object a line: first {"ready": ...}, then, for every line on stdin that holds a number of steps, how many seconds these
steps took and the last loss that was read. Ends with its stdin. The steps of a block are timed here, by this process, so
that pipes and JSON cost the peer nothing.

Modes. eager: as the tutorials write it. tuned: what PyTorch's own documentation offers beyond that without changing the
result: a fused optimizer, denormals flushed, channels-last memory for convolutions. (jemalloc and the like are preloaded
by whoever starts this process.)
"""

import importlib
import json
import resource
import sys
import time

import torch


class Setting:
    """What a workload is asked for."""

    def __init__(self, spec):
        self.workload = spec["workload"]
        self.tuned = spec["mode"] != "eager"
        self.data = spec.get("data")
        self.case = spec.get("case")

    def optimizer(self, kind, parameters, **options):
        """An optimizer, fused where this mode has it."""
        return kind(parameters, fused=True, **options) if self.tuned else kind(parameters, **options)


def say(**fields):
    print(json.dumps(fields), flush=True)


def main():
    spec = json.loads(sys.argv[1])
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(0)
    setting = Setting(spec)
    if setting.tuned:
        torch.set_flush_denormal(True)
    # A workload is a module of its name; `open(setting)` gives a function that runs steps and returns the last loss read.
    run = importlib.import_module(spec["workload"].lower()).open(setting)
    say(ready=True, torch=torch.__version__, threads=torch.get_num_threads(), cpu=torch.backends.cpu.get_cpu_capability())
    for line in sys.stdin:
        steps = int(line)
        begin = time.perf_counter()
        loss = run(steps)
        seconds = time.perf_counter() - begin
        say(seconds=seconds, loss=loss, rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
