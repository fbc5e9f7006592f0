"""Perplexity of an OLMoE checkpoint with rounded experts, written a second time, in numpy alone.

usage: python roundedExperts.py CHECKPOINT WINDOWS.json BITS [--float16-scales]

WINDOWS.json is a list of windows of token ids, all of one length; 16 bits round nothing. Experts are rounded to nearest in groups of
16 weights, symmetric: s = max|w| / (2^(bits-1) - 1), halves to even. The numbers in test/golden/quantize.test.ts are of the first four
windows of 512 tokens of the dataset "prose". With all 24 windows and exact scales it gives 12.95925, 12.95902, 13.02450, 13.27155 and
16.92564 for 16, 8, 4, 3 and 2 bits; the reference has 12.95923, 12.95898 and 13.02434 for the first three.
"""
import json
import pathlib
import struct
import sys

import numpy as np

folder, windows, bits = pathlib.Path(sys.argv[1]), json.load(open(sys.argv[2])), int(sys.argv[3])
float16_scales = "--float16-scales" in sys.argv
config = json.load(open(folder / "config.json"))
heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
active, epsilon = config["num_experts_per_tok"], np.float32(config["rms_norm_eps"])
theta, group = config["rope_parameters"]["rope_theta"], 16

tensors = {}
for file in sorted(folder.glob("*.safetensors")):
    content = file.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name != "__metadata__" and entry["dtype"] == "BF16":
            start, end = entry["data_offsets"]
            stored = np.frombuffer(content[8 + length + start : 8 + length + end], np.uint16).astype(np.uint32) << 16
            tensors[name] = stored.view(np.float32).reshape(entry["shape"])


def rounded(weight):
    if bits == 16:
        return weight
    top = np.float32(2 ** (bits - 1) - 1)
    groups = weight.reshape(weight.shape[0], -1, group)
    scale = np.abs(groups).max(-1, keepdims=True) / top
    if float16_scales:
        scale = scale.astype(np.float16).astype(np.float32)
    scale = np.where(scale == 0, np.float32(1), scale)
    return (np.clip(np.rint(groups / scale), -top - 1, top) * scale).reshape(weight.shape)


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def softmax(x):
    shifted = np.exp(x - x.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


experts = {name: rounded(weight) for name, weight in tensors.items() if ".experts." in name}
time = len(windows[0])
size = tensors["model.embed_tokens.weight"].shape[1] // heads
angles = np.arange(time)[:, None] / theta ** (np.arange(0, size, 2) / size)[None]
cosine, sine = (np.concatenate([f(angles)] * 2, 1).astype(np.float32) for f in (np.cos, np.sin))
mask = np.triu(np.full((time, time), -np.inf, np.float32), 1)


def rotate(x):
    return x * cosine + np.concatenate([-x[..., size // 2 :], x[..., : size // 2]], -1) * sine


def attention(x, prefix):
    project = lambda name: x @ tensors[f"{prefix}{name}_proj.weight"].T
    q = norm(project("q"), tensors[prefix + "q_norm.weight"])
    k = norm(project("k"), tensors[prefix + "k_norm.weight"])
    q, k, v = (y.reshape(-1, time, heads, size).transpose(0, 2, 1, 3) for y in (q, k, project("v")))
    mixed = softmax(rotate(q) @ rotate(k).transpose(0, 1, 3, 2) / np.float32(size**0.5) + mask) @ v
    return mixed.transpose(0, 2, 1, 3).reshape(x.shape) @ tensors[prefix + "o_proj.weight"].T


def mixture(x, prefix):
    probabilities = softmax(x @ tensors[prefix + "gate.weight"].T)
    chosen = np.argsort(-probabilities, 1, kind="stable")[:, :active]
    y = np.zeros_like(x)
    for expert in range(probabilities.shape[1]):
        tokens = np.nonzero((chosen == expert).any(1))[0]
        gate, up, down = (experts[f"{prefix}experts.{expert}.{name}_proj.weight"] for name in ("gate", "up", "down"))
        a = x[tokens] @ gate.T
        y[tokens] += (a / (1 + np.exp(-a)) * (x[tokens] @ up.T)) @ down.T * probabilities[tokens, expert][:, None]
    return y


losses = []
for first in range(0, len(windows), 4):
    ids = np.array(windows[first : first + 4])
    x = tensors["model.embed_tokens.weight"][ids]
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        x = x + attention(norm(x, tensors[prefix + "input_layernorm.weight"]), prefix + "self_attn.")
        h = norm(x, tensors[prefix + "post_attention_layernorm.weight"])
        x = x + mixture(h.reshape(-1, h.shape[-1]), prefix + "mlp.").reshape(x.shape)
    logits = (norm(x, tensors["model.norm.weight"]) @ tensors["model.embed_tokens.weight"].T)[:, :-1]
    logits = logits - logits.max(-1, keepdims=True)
    chosen = np.take_along_axis(logits, ids[:, 1:, None], -1)[..., 0]
    losses.append((np.log(np.exp(logits).sum(-1)) - chosen).ravel())
print(float(np.exp(np.concatenate(losses).astype(np.float64).mean())))
