"""Runs the generated vLLM plugin against stand-ins for the parts of vLLM it touches, and prints the numbers layers were built with.

    python3 plugin.py PACKAGE_FOLDER PACKAGE class|function|renamed PREFIX…
"""

import importlib
import json
import sys
from types import ModuleType, SimpleNamespace

folder, package, kind, prefixes = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
sys.dont_write_bytecode = True
sys.path.insert(0, folder)


def module(name, **contents):
    made = ModuleType(name)
    vars(made).update(contents)
    sys.modules[name] = made
    return made


model_config = SimpleNamespace(hf_config=SimpleNamespace(), hf_text_config=SimpleNamespace())


class FusedMoE:
    def __init__(self, num_experts, top_k, hidden_size, prefix=""):
        self.top_k = top_k


def factory(num_experts, top_k, hidden_size, prefix=""):
    return SimpleNamespace(top_k=top_k)


name = "FusedMoEFactory" if kind == "renamed" else "FusedMoE"
builder = FusedMoE if kind == "class" else factory
for parent in ("vllm", "vllm.model_executor", "vllm.model_executor.layers", "vllm.model_executor.models"):
    module(parent).__path__ = []
module("vllm.config", get_current_vllm_config=lambda: SimpleNamespace(model_config=model_config))
module("vllm.model_executor.layers.fused_moe", **{name: builder}).__path__ = []
module("vllm.model_executor.layers.fused_moe.layer", **{name: builder})
family = module("vllm.model_executor.models.family", Experts=builder)

plugin = importlib.import_module(package)
plugin.register()
plugin.register()


def build():
    return [family.Experts(8, 99, hidden_size=16, prefix=prefix).top_k for prefix in prefixes]


other = build()
vars(model_config.hf_text_config)[plugin.CONFIG_KEY] = list(plugin.ACTIVE_EXPERTS.values())
tuned = build()
try:
    family.Experts(8, 99, 16, prefix="experts")
    nameless = ""
except RuntimeError as error:
    nameless = str(error)
print(json.dumps({"other": other, "tuned": tuned, "nameless": nameless}))
