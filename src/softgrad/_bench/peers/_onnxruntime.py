"""ONNX Runtime: one operator as a model, with input and output bound to the arrays' own memory."""

from __future__ import annotations

from typing import Any

import onnxruntime as ort
from onnx import TensorProto, helper

from softgrad._bench.case import Case, Work

OPSET = 18
KINDS = {
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
}


def _session(c: Case, operator: str) -> Any:
    """The operator over the class axis, x -> y; its CPU kernels want float, so that halves are cast."""
    kind = KINDS[c.cell.dtype]
    inputs, extra = ["x"], []
    attributes: dict[str, Any] = {"axis": c.axis}
    if operator == "ReduceLogSumExp":
        inputs, attributes = ["x", "axes"], {"keepdims": 0}
        extra = [helper.make_tensor("axes", TensorProto.INT64, [1], [c.axis])]
    nodes = [helper.make_node(operator, inputs, ["y"], **attributes)]
    if c.dtype != c.wide:
        nodes = [
            helper.make_node("Cast", ["x"], ["wide_x"], to=TensorProto.FLOAT),
            helper.make_node(operator, ["wide_x", *inputs[1:]], ["wide_y"], **attributes),
            helper.make_node("Cast", ["wide_y"], ["y"], to=kind),
        ]
    graph = helper.make_graph(
        nodes,
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
    def make(c: Case) -> Work:
        out = c.empty(c.row_shape if operator == "ReduceLogSumExp" else c.x_shape)
        session = _session(c, operator)
        binding = session.io_binding()
        for bind, name, a in (
            (binding.bind_input, "x", c.x),
            (binding.bind_output, "y", out),
        ):
            bind(name, "cpu", 0, KINDS[c.cell.dtype], a.shape, a.ctypes.data)
        return Work(lambda: session.run_with_iobinding(binding), lambda _: (out,))

    return make


WORKS = {
    "softmax": {"ONNX Runtime": _bound("Softmax")},
    "log_softmax": {"ONNX Runtime": _bound("LogSoftmax")},
    "logsumexp": {"ONNX Runtime": _bound("ReduceLogSumExp")},
}
