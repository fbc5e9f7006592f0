"""Runs the checker of the onnx package, with strict shape inference, on model files: one line of JSON for each."""

import json
import sys

import onnx


def finding(path):
    """What the checker says against a model; None where it says nothing."""
    if onnx.load(path, load_external_data=False).ir_version > onnx.IR_VERSION:
        return f"newer than onnx {onnx.__version__}"
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:  # the checker raises several kinds
        return f"{type(error).__name__}: {error}"
    return None


for path in sys.argv[1:]:
    print(json.dumps({"path": path, "finding": finding(path)}))
