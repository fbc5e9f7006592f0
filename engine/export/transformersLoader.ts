/** File name of the generated module. */
export const transformersLoaderName = 'moe_tuner_loader.py';

/**
 * The module that loads a tuned checkpoint with Transformers. The text is the same for every checkpoint: what differs is data in
 * `moe_tune.json`, so no name from a checkpoint can become code.
 */
export const transformersLoader = String.raw`"""Loads this checkpoint with Transformers and gives every MoE layer its own number of active experts.

    from moe_tuner_loader import load
    model = load()

or, for a model that is loaded already: apply_active_experts(model).
"""

import json
from pathlib import Path

import transformers

FOLDER = Path(__file__).resolve().parent


def find(module, path):
    """The part of a module that a dotted path names, or None."""
    for name in path.split("."):
        module = getattr(module, name, None)
        if module is None:
            return None
    return module


def apply_active_experts(model, folder=FOLDER):
    """Sets the number of active experts of every MoE layer, and fails where a layer has no router it knows."""
    tune = json.loads((Path(folder) / "moe_tune.json").read_text(encoding="utf-8"))
    places = tune["transformers"]
    layers = next((found for found in (find(model, path) for path in places["layers"]) if found is not None), None)
    if layers is None:
        raise RuntimeError(f"{type(model).__name__} has no decoder layers at {', '.join(places['layers'])}")
    for layer, active in tune["activeExperts"].items():
        found = 0
        for path in places["routers"]:
            router = find(layers[int(layer)], path)
            for attribute in places["attributes"]:
                if isinstance(getattr(router, attribute, None), int):
                    setattr(router, attribute, active)
                    found += 1
        if found == 0:
            raise RuntimeError(f"layer {layer} has no router at {', '.join(places['routers'])}")
    return model


def load(folder=FOLDER, model_class=None, **options):
    """Loads the checkpoint; options go to from_pretrained. Give model_class to load with another class."""
    tune = json.loads((Path(folder) / "moe_tune.json").read_text(encoding="utf-8"))
    model_class = model_class or getattr(transformers, tune["transformers"]["autoClass"])
    return apply_active_experts(model_class.from_pretrained(str(folder), **options), folder)
`;
