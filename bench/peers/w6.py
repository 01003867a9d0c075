"""W6: single operations; the case names the operation and its sizes, as in "matmul 512x512x512"."""

import torch
from torch.nn import functional as F


def operation(case):
    name, sizes = case.rsplit(" ", 1)
    sizes = [int(size) for size in sizes.split("x")]
    if name == "matmul":
        m, k, n = sizes
        a, b, out = torch.rand(m, k), torch.rand(k, n), torch.empty(m, n)
        return lambda: torch.mm(a, b, out=out)
    if name == "softmax":
        x, out = torch.rand(sizes), torch.empty(sizes)
        return lambda: torch.softmax(x, -1, out=out)
    if name == "layerNorm":
        x = torch.rand(sizes)
        return lambda: F.layer_norm(x, sizes[-1:])
    x, a, b = torch.rand(sizes), torch.rand(sizes), torch.rand(sizes)
    approximate = {"gelu(x*a+b)": "none", "geluTanh(x*a+b)": "tanh"}[name]
    product = torch.empty(sizes)
    return lambda: F.gelu(torch.addcmul(b, x, a, out=product), approximate=approximate)


def open(setting):
    call = operation(setting.case)

    def run(calls):
        with torch.no_grad():
            for _ in range(calls):
                call()

    return run
