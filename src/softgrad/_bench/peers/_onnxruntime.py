"""ONNX Runtime: one operator as a model, with input and output bound to the arrays' own memory."""

from __future__ import annotations

from typing import Any

import onnxruntime as ort
from onnx import TensorProto, helper

from softgrad._bench.case import Case, Work

OPSET = 18
KINDS = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
}  # what its CPU kernels compute


def _session(c: Case, operator: str) -> Any:
    """The operator over the class axis, x -> y."""
    kind = KINDS[c.cell.dtype]
    inputs, extra = ["x"], []
    attributes: dict[str, Any] = {"axis": c.axis}
    if operator == "ReduceLogSumExp":
        inputs, attributes = ["x", "axes"], {"keepdims": 0}
        extra = [helper.make_tensor("axes", TensorProto.INT64, [1], [c.axis])]
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["y"], **attributes)],
        operator,
        [helper.make_tensor_value_info("x", kind, c.x_shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        extra,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = c.threads, 1
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _bound(operator: str) -> Any:
    def make(c: Case) -> Work | None:
        if c.cell.dtype not in KINDS:
            return None
        out = c.empty(c.row_shape if operator == "ReduceLogSumExp" else c.x_shape)
        session = _session(c, operator)
        binding = session.io_binding()
        for bind, name, a in (
            (binding.bind_input, "x", c.x),
            (binding.bind_output, "y", out),
        ):
            bind(name, "cpu", 0, a.dtype.type, a.shape, a.ctypes.data)
        return Work(lambda: session.run_with_iobinding(binding), lambda _: (out,))

    return make


WORKS = {
    "softmax": {"ONNX Runtime": _bound("Softmax")},
    "log_softmax": {"ONNX Runtime": _bound("LogSoftmax")},
    "logsumexp": {"ONNX Runtime": _bound("ReduceLogSumExp")},
}
