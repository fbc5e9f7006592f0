"""Runs the generated loader of a folder on a model made of plain objects, and prints the numbers that its routers got.

    python3 loader.py FOLDER ROUTER[,ROUTER…]     routers: dotted paths below a layer, which get the attribute top_k
"""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

folder, paths = Path(sys.argv[1]), [path for path in sys.argv[2].split(",") if path]
count = 1 + max(int(layer) for layer in json.loads((folder / "moe_tune.json").read_text())["activeExperts"])


def layer():
    made = SimpleNamespace()
    for path in paths:
        place = made
        for name in path.split("."):
            if not hasattr(place, name):
                setattr(place, name, SimpleNamespace())
            place = getattr(place, name)
        place.top_k = 99
    return made


class AutoModel:
    @staticmethod
    def from_pretrained(name, **options):
        assert Path(name) == folder, name
        assert options == {"dtype": "float32"}, options
        return SimpleNamespace(model=SimpleNamespace(layers=[layer() for _ in range(count)]))


transformers = ModuleType("transformers")
transformers.AutoModelForCausalLM = AutoModel
sys.modules["transformers"] = transformers
sys.path.insert(0, str(folder))
sys.dont_write_bytecode = True

from moe_tuner_loader import find, load  # noqa: E402

model = load(dtype="float32")
print(json.dumps([[find(each, path).top_k for path in paths] for each in model.model.layers]))
