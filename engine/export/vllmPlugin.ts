import { createHash } from 'node:crypto';
import type { TextFile } from './artefactFiles';

/** Folder of the generated package below the checkpoint. */
export const vllmPluginFolder = 'vllm_plugin';

/**
 * The module of the plugin. The text is the same for every checkpoint: what differs is data in `moe_tune.json`, so no name from
 * a checkpoint can become code. vLLM built its experts with a class up to 0.23, with a function of the same name since
 * 0.24, and calls that function `FusedMoEFactory` since 0.28; all three are told the name of the layer and the number.
 */
const pluginModule = String.raw`"""Gives every MoE layer of one tuned checkpoint its own number of active experts in vLLM.

vLLM calls register() in each of its processes before it builds a model. The fused MoE layers of the checkpoint are then
built with their own numbers, which kernels, buffers and CUDA graphs follow. Other models are left alone: the plugin acts
only where the model's config holds the very list that this plugin was written for.
"""

import functools
import importlib
import inspect
import json
import re
import sys
from pathlib import Path

TUNE = json.loads((Path(__file__).parent / "moe_tune.json").read_text(encoding="utf-8"))
ACTIVE_EXPERTS = {int(layer): active for layer, active in TUNE["activeExperts"].items()}
CONFIG_KEY = TUNE["configKey"]
BUILDERS = ("FusedMoE", "FusedMoEFactory")
LAYER = re.compile(r"(?:^|\.)(?:layers|blocks)\.(\d+)(?:\.|$)")

registered = False


def is_tuned_model():
    """Whether the model that is being built is the one this plugin belongs to."""
    from vllm.config import get_current_vllm_config

    config = get_current_vllm_config().model_config
    configs = [getattr(config, name, None) for name in ("hf_text_config", "hf_config")]
    wanted = list(ACTIVE_EXPERTS.values())
    return any(list(getattr(each, CONFIG_KEY, None) or []) == wanted for each in configs)


def per_layer(build):
    """The same constructor or factory, with the number of the layer that its prefix names."""
    signature = inspect.signature(build)
    missing = {"top_k", "prefix"} - set(signature.parameters)
    if missing:
        raise RuntimeError(f"moe-tuner: the fused MoE layer of this vLLM takes no {' and no '.join(sorted(missing))}")

    @functools.wraps(build)
    def wrapped(*args, **kwargs):
        if not is_tuned_model():
            return build(*args, **kwargs)
        call = signature.bind(*args, **kwargs)
        prefix = call.arguments.get("prefix", "")
        match = LAYER.search(prefix)
        if match is None:
            raise RuntimeError(f"moe-tuner: the name {prefix!r} of a fused MoE layer does not tell which layer it is")
        active = ACTIVE_EXPERTS.get(int(match.group(1)))
        if active is not None:
            call.arguments["top_k"] = active
        return build(*call.args, **call.kwargs)

    return wrapped


def replace_everywhere(original, replacement):
    """Models import the factory by name: every module of vLLM that already did gets the replacement."""
    for name, module in list(sys.modules.items()):
        if name == "vllm" or name.startswith("vllm."):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    setattr(module, attribute, replacement)


def register():
    """Entry point. vLLM may call it more than once in a process."""
    global registered
    if registered:
        return
    module = importlib.import_module("vllm.model_executor.layers.fused_moe.layer")
    builders = [getattr(module, name) for name in BUILDERS if callable(getattr(module, name, None))]
    if not builders:
        raise RuntimeError(f"moe-tuner: this vLLM has none of {', '.join(BUILDERS)}")
    for builder in builders:
        if inspect.isclass(builder):
            builder.__init__ = per_layer(builder.__init__)
        else:
            replace_everywhere(builder, per_layer(builder))
    registered = True
`;

/** The files of the package, below the checkpoint; its name is derived from what it does, so that several can be installed. */
export function vllmPluginFiles(fingerprint: string, activeExperts: readonly number[], tune: string): TextFile[] {
  const id = createHash('sha256')
    .update(`${fingerprint} ${activeExperts.join(',')}`)
    .digest('hex')
    .slice(0, 8);
  const packageName = `moe_tuner_vllm_${id}`;
  const project = `[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "moe-tuner-vllm-${id}"
version = "1.0.0"
description = "Active experts per layer of one tuned checkpoint, for vLLM"
requires-python = ">=3.9"

[project.entry-points."vllm.general_plugins"]
${packageName} = "${packageName}:register"

[tool.setuptools]
packages = ["${packageName}"]

[tool.setuptools.package-data]
${packageName} = ["moe_tune.json"]
`;
  return [
    { name: `${vllmPluginFolder}/pyproject.toml`, text: project },
    { name: `${vllmPluginFolder}/${packageName}/__init__.py`, text: pluginModule },
    { name: `${vllmPluginFolder}/${packageName}/moe_tune.json`, text: tune },
  ];
}
