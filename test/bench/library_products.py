"""How fast libraries for products multiply on this processor, as PyTorch brings them: beside native_products.c, which measures
our kernels with the same shape.

python3 library_products.py [--threads 1,2] [--rounds 5] [--n 5632] [--k 2048] [--rows 512]

For many rows: 10^9 products a second. For one row: bytes of weights a second in 10^9, of weights that no cache holds. Medians, with
the least and the most. Each library rewrites the weights into an order of its own first, which is not in the time: with
weights in a mapped file that is a second copy of them.
"""

import argparse
import statistics
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--threads", default="1,2")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--n", type=int, default=5632)
parser.add_argument("--k", type=int, default=2048)
parser.add_argument("--rows", type=int, default=512)
options = parser.parse_args()

try:
    import torch
    from torch.nn import functional
except ImportError as error:
    sys.exit(f"library_products: there is no PyTorch: {error}")

n, k = options.n, options.k
GROUP = 32  # elements with a scale of their own, where a library has such
COLD_BYTES = 400e6  # of weights: more than any cache holds
ROUND_SECONDS = 0.2


def bfloat16(weights):
    matrix = weights.bfloat16()
    return lambda x: functional.linear(x, matrix), torch.bfloat16, 2


def float32(weights):
    return lambda x: functional.linear(x, weights), torch.float32, 4


def quantised_bytes(engine):
    def make(weights):
        torch.backends.quantized.engine = engine
        layer = torch.ao.nn.quantized.dynamic.Linear(k, n, bias_=False, dtype=torch.qint8)
        scales = weights.abs().amax(1) / 127
        layer.set_weight_bias(torch.quantize_per_channel(weights, scales.double(), torch.zeros(n).long(), 0, torch.qint8), None)
        return layer, torch.float32, 1

    return make


def packed_bytes(weights):
    scales = weights.abs().amax(1) / 127
    quants = (weights / scales[:, None]).round().to(torch.int8)
    factors = scales.bfloat16()
    return lambda x: torch.ops.aten._weight_int8pack_mm(x, quants, factors), torch.bfloat16, 1


def packed_nibbles(weights):
    groups = weights.view(n, k // GROUP, GROUP)
    scales = groups.abs().amax(2) / 7
    nibbles = ((groups / scales[:, :, None]).round() + 8).clamp(0, 15).view(n, k).to(torch.int32)
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(nibbles, 1)
    factors = torch.stack([scales, torch.zeros_like(scales)], 2).transpose(0, 1).contiguous().bfloat16()
    run = torch.ops.aten._weight_int4pack_mm_for_cpu
    return lambda x: run(x, packed, GROUP, factors), torch.bfloat16, 0.5 + 4 / GROUP


CASES = {
    "F32 (MKL)": float32,
    "BF16 (oneDNN)": bfloat16,
    "8 bits, a scale for each output, activations of 8 bits (FBGEMM)": quantised_bytes("fbgemm"),
    "the same (oneDNN)": quantised_bytes("onednn"),
    "8 bits, a scale for each output, activations of BF16 (PyTorch)": packed_bytes,
    f"4 bits, a scale for each {GROUP}, activations of BF16 (PyTorch)": packed_nibbles,
}


def median(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} .. {max(values):.1f})"


def measure(run, work):
    """`work` per second, in 10^9, of each round."""
    run()
    result = []
    for _ in range(options.rounds):
        begin = time.monotonic()
        times = 0
        while time.monotonic() - begin < ROUND_SECONDS:
            run()
            times += 1
        result.append(times * work / (time.monotonic() - begin) / 1e9)
    return result


def measure_case(make, rows):
    weights = torch.randn(n, k) * k**-0.5
    run, dtype, bytes_each = make(weights)
    x = torch.randn(rows, k, dtype=dtype)
    exact = x.float() @ weights.T
    error = float((run(x).float() - exact).abs().max() / exact.abs().max())
    if rows > 1:
        return measure(lambda: run(x), rows * n * k), error
    copies = [run] + [make(weights)[0] for _ in range(int(COLD_BYTES / (n * k * bytes_each)))]
    return measure(lambda: [each(x) for each in copies], len(copies) * n * k * bytes_each), error


print(f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, n {n}, k {k}")
with torch.inference_mode():
    for threads in map(int, options.threads.split(",")):
        torch.set_num_threads(threads)
        print(f"{threads} thread{'s' if threads > 1 else ''}: {options.rows} rows; largest error; one row")
        for name, make in CASES.items():
            try:
                (many, error), (one, _) = measure_case(make, options.rows), measure_case(make, 1)
                print(f"  {name}: {median(many)} GMAC/s; {error:.1e}; {median(one)} GB/s", flush=True)
            except (RuntimeError, AttributeError, NotImplementedError) as failure:
                print(f"  {name}: {str(failure).splitlines()[0]}", flush=True)
