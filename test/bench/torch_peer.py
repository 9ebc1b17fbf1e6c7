"""PyTorch on the same card, as a peer: what its matrix products reach, and what a plain Llama of random weights generates.

python3 torch_peer.py '{"rows": [512, 4096], "dim": 4096, ..., "budget": 60}' prints lines as it goes, and what it found as JSON in the last.
"""

import json
import statistics
import sys
import time

task = json.loads(sys.argv[1])
start = time.monotonic()

try:
    import torch
    import torch.nn.functional as functional
except ImportError as error:
    print(json.dumps({"skipped": f"There is no PyTorch: {error}"}))
    sys.exit(0)

device = task["device"]
if device == "cuda" and not torch.cuda.is_available():
    print(json.dumps({"skipped": f"PyTorch {torch.__version__} finds no GPU"}))
    sys.exit(0)
half = torch.float16 if device == "cuda" else torch.float32


def synchronise():
    if device == "cuda":
        torch.cuda.synchronize()


def has_time():
    return time.monotonic() - start < task["budget"]


def summary(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values), "count": len(values)}


def seconds_of(run, seconds, rounds):
    """Seconds for one call, in each of some rounds of about `seconds`."""
    run()
    synchronise()
    begin = time.monotonic()
    run()
    synchronise()
    times = max(1, min(1000, int(seconds / max(1e-6, time.monotonic() - begin))))
    result = []
    for _ in range(rounds):
        begin = time.monotonic()
        for _ in range(times):
            run()
        synchronise()
        result.append((time.monotonic() - begin) / times)
    return result


def random(*shape):
    return torch.randn(*shape, device=device, dtype=half) * shape[-1] ** -0.5


def copy_speed():
    source = torch.empty(task["copyBytes"], dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    return 2 * task["copyBytes"] / min(seconds_of(lambda: target.copy_(source), 0.02, 3)) / 1e9


def graph_of(run):
    """What runs it again, as a CUDA graph if that can be: launches from Python take longer than small products do."""
    if device != "cuda":
        return run, False
    try:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            run()
            run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        return graph.replay, True
    except RuntimeError as error:
        print(f"PyTorch makes no CUDA graph: {str(error).splitlines()[0]}", flush=True)
        return run, False


def matrix_products():
    """TFLOP/s of x W^T with random data, of the shapes of a layer, and of a layer in all. Some weights take turns."""
    dim, hidden = task["dim"], task["hidden"]
    key_value = task["kvHeads"] * task["headLength"]
    shapes = [("q, output", 2, dim, dim), ("k, v", 2, dim, key_value), ("gate, up", 2, dim, hidden), ("down", 1, hidden, dim)]
    found = []
    for rows in task["rows"]:
        whole = operations = 0.0
        for name, count, k, n in shapes:
            if not has_time():
                return found
            x, weights = random(rows, k), [random(n, k) for _ in range(4)]
            out = torch.empty(rows, n, device=device, dtype=half)
            turns = weights * (4 if device == "cuda" else 1)

            def products():
                for weight in turns:
                    torch.mm(x, weight.t(), out=out)

            run, _ = graph_of(products)
            times = [seconds / len(turns) for seconds in seconds_of(run, 0.03, 5)]
            found.append({"rows": rows, "name": name, "k": k, "n": n, "teraflops": summary([2e-12 * rows * k * n / t for t in times])})
            whole += count * statistics.median(times)
            operations += 2e-12 * count * rows * k * n
        found.append({"rows": rows, "name": "a layer", "teraflops": summary([operations / whole])})
        print(f"PyTorch, products of {rows} rows: {operations / whole:.0f} TFLOP/s", flush=True)
    return found


class Llama:
    """A Llama as its paper has it, with a cache of fixed size; q, k, v and gate, up are one matrix each."""

    def __init__(self, positions):
        dim, hidden = task["dim"], task["hidden"]
        self.heads, self.kv_heads, self.length = task["heads"], task["kvHeads"], task["headLength"]
        self.kv = self.kv_heads * self.length
        self.layers = []
        for _ in range(task["layers"]):
            self.layers.append(
                {
                    "qkv": random(self.heads * self.length + 2 * self.kv, dim),
                    "output": random(dim, self.heads * self.length),
                    "gate_up": random(2 * hidden, dim),
                    "down": random(dim, hidden),
                    "norms": torch.ones(2, dim, device=device, dtype=half),
                    "keys": torch.zeros(self.kv_heads, positions, self.length, device=device, dtype=half),
                    "values": torch.zeros(self.kv_heads, positions, self.length, device=device, dtype=half),
                }
            )
        self.embedding, self.logits = random(task["vocabulary"], dim), random(task["vocabulary"], dim)
        self.norm = torch.ones(dim, device=device, dtype=half)
        frequencies = 5e5 ** (-torch.arange(0, self.length, 2, device=device).float() / self.length)
        angles = torch.arange(positions, device=device).float()[:, None] * frequencies
        self.cosines, self.sines = angles.cos().to(half), angles.sin().to(half)
        self.places = torch.arange(positions, device=device)
        # What a step reads and writes, so that a graph of it can run again.
        self.token = torch.zeros(1, dtype=torch.long, device=device)
        self.position = torch.zeros(1, dtype=torch.long, device=device)

    def rms_norm(self, x, weight):
        scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-5)
        return (x.float() * scale).to(half) * weight

    def rotate(self, x, position):
        cosine, sine = self.cosines[position], self.sines[position]
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)

    def rows(self, tokens, positions, attend):
        x = self.embedding[tokens]
        for layer in self.layers:
            qkv = functional.linear(self.rms_norm(x, layer["norms"][0]), layer["qkv"])
            q, k, v = qkv.split([self.heads * self.length, self.kv, self.kv], dim=-1)
            q, k, v = (part.view(len(tokens), -1, self.length).transpose(0, 1) for part in (q, k, v))
            q, k = self.rotate(q, positions), self.rotate(k, positions)
            layer["keys"].index_copy_(1, positions, k)
            layer["values"].index_copy_(1, positions, v)
            attended = attend(q, k, v, layer).transpose(0, 1).reshape(len(tokens), -1)
            x = x + functional.linear(attended, layer["output"])
            gate, up = functional.linear(self.rms_norm(x, layer["norms"][1]), layer["gate_up"]).chunk(2, dim=-1)
            x = x + functional.linear(functional.silu(gate) * up, layer["down"])
        return functional.linear(self.rms_norm(x[-1:], self.norm), self.logits)

    def prompt(self, length):
        def attend(q, k, v, _):
            repeat = self.heads // self.kv_heads
            k, v = k.repeat_interleave(repeat, 0), v.repeat_interleave(repeat, 0)
            return functional.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]

        tokens = torch.arange(length, device=device) % task["vocabulary"]
        return self.rows(tokens, self.places[:length], attend)

    def step(self, window):
        """One token, with attention over the first `window` positions of the cache, of which later ones do not count."""
        future = torch.where(self.places[:window] > self.position, float("-inf"), 0.0)

        def attend(q, _k, _v, layer):
            grouped = q.view(self.kv_heads, -1, self.length)
            scores = torch.bmm(grouped, layer["keys"][:, :window].transpose(1, 2)).float() * self.length**-0.5
            weights = torch.softmax(scores + future, dim=-1).to(half)
            return torch.bmm(weights, layer["values"][:, :window]).view(self.heads, 1, self.length)

        logits = self.rows(self.token, self.position, attend)
        self.token.copy_(logits.argmax(-1))
        self.position.add_(1)


def generation():
    tokens = task["tokens"]
    model = Llama(max(task["depths"] + task["rows"]) + tokens + 8)
    found = {"prompts": {}, "generation": {}}
    for length in task["rows"]:
        if has_time():
            times = seconds_of(lambda: model.prompt(length), 0.3, 3)
            found["prompts"][length] = summary([length / t for t in times])
            print(f"PyTorch, prompt of {length}: {found['prompts'][length]['median']:.0f} tok/s", flush=True)
    for depth in task["depths"]:
        if not has_time():
            break
        window = depth + tokens + 8
        model.position.fill_(depth)
        run, is_graph = graph_of(lambda: model.step(window))
        how = "as a CUDA graph" if is_graph else "as it is"
        speeds = []
        for _ in range(3):
            model.position.fill_(depth)
            synchronise()
            begin = time.monotonic()
            for _ in range(tokens):
                run()
            synchronise()
            speeds.append(tokens / (time.monotonic() - begin))
        found["generation"][depth] = summary(speeds)
        found["step"] = how
        print(f"PyTorch, generation at {depth}, {how}: {statistics.median(speeds):.1f} tok/s", flush=True)
    return found


with torch.inference_mode():
    result = {
        "version": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "type": str(half),
    }
    result["copy"] = copy_speed()
    result["products"] = matrix_products()
    try:
        result["llama"] = generation() if has_time() else {"skipped": "there was no time"}
    except RuntimeError as error:  # memory, above all
        result["llama"] = {"skipped": str(error).splitlines()[0]}
print(json.dumps(result))
