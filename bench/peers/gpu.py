"""PyTorch on a GPU: training steps of W1 and W2 in three modes, and single products, for bench/gpu.

Takes one argument, JSON: {"device": "cuda" | "cpu", "data": FOLDER, "seconds": S}. Prints one JSON object a line:
{"workload", "mode", "seconds" (a step), "loss"}, or {"workload", "mode", "reason"} for what cannot be run.

Modes. eager: as the tutorials write it. compile: the model through torch.compile, a fused optimizer. graph: the whole step,
with its optimizer, captured in one CUDA graph and replayed. Pictures and labels lie on the GPU in all of them, and every
batch is gathered there, as ours is. Products are float32, without TF32, as PyTorch's default is.
"""

import importlib
import json
import sys
import time

import torch
from torch import nn

from pictures import mnist

BATCH = 64


class Batches:
    """Batches on the device, in an order that was shuffled once."""

    def __init__(self, folder, device):
        images, labels = mnist(folder, "train")
        self.images = torch.from_numpy(images.copy()).unsqueeze(1).to(device)
        self.labels = torch.from_numpy(labels.astype("int64")).to(device)
        self.order = torch.randperm(len(labels), device=device)
        self.count = len(labels) // BATCH
        self.next = 0

    def indices(self):
        start = self.next * BATCH
        self.next = (self.next + 1) % self.count
        return self.order[start : start + BATCH]

    def gather(self, indices):
        return self.images[indices].float().div(255), self.labels[indices]


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def timed(step, device, seconds):
    """Seconds a step: the median of five blocks."""
    for _ in range(20 if device == "cuda" else 2):
        step()
    synchronize(device)
    steps, taken = 1, 0.0
    while taken < seconds / 5:
        steps = steps * 2 if taken == 0.0 else max(steps + 1, int(steps * min(16, 1.2 * seconds / 5 / taken)))
        begin = time.perf_counter()
        for _ in range(steps):
            step()
        synchronize(device)
        taken = time.perf_counter() - begin
    blocks = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(steps):
            step()
        synchronize(device)
        blocks.append((time.perf_counter() - begin) / steps)
    return sorted(blocks)[2]


def trainer(workload, mode, spec):
    """A step, and a function that gives the last loss."""
    device = spec["device"]
    torch.manual_seed(0)
    model = importlib.import_module(workload.lower()).Net().to(device)
    criterion = nn.CrossEntropyLoss()
    batches = Batches(spec["data"], device)
    if mode == "graph":
        return captured(model, criterion, batches)
    options = {"fused": True} if mode == "compile" else {}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **options)
    forward = torch.compile(model) if mode == "compile" else model
    last = [None]

    def step():
        x, y = batches.gather(batches.indices())
        loss = criterion(forward(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last[0] = loss

    return step, lambda: last[0].item()


def captured(model, criterion, batches):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=True)
    indices = batches.indices().clone()

    def work():
        x, y = batches.gather(indices)
        loss = criterion(model(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = work()

    def step():
        indices.copy_(batches.indices())
        graph.replay()

    return step, loss.item


def say(**fields):
    print(json.dumps(fields), flush=True)


def main():
    spec = json.loads(sys.argv[1])
    device = spec["device"]
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("this PyTorch has no GPU")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    say(workload="torch", mode=torch.__version__, reason=name)
    for workload in ["W1", "W2"]:
        for mode in ["eager", "compile", "graph"]:
            try:
                step, loss = trainer(workload, mode, spec)
                seconds = timed(step, device, spec["seconds"])
                say(workload=workload, mode=mode, seconds=seconds, loss=loss())
            except Exception as error:  # One mode that cannot run must not keep the others from it.
                lines = str(error).strip().splitlines() or [""]
                say(workload=workload, mode=mode, reason=f"{type(error).__name__}: {lines[0][:200]}")
    for size in [512, 1024, 2048] if device == "cuda" else [128]:
        a, b = torch.rand(size, size, device=device), torch.rand(size, size, device=device)
        out = torch.empty(size, size, device=device)
        seconds = timed(lambda: torch.mm(a, b, out=out), device, spec["seconds"])
        say(workload=f"matmul {size}x{size}x{size}", mode="torch", seconds=seconds, flops=2 * size**3)


if __name__ == "__main__":
    main()
