"""Triton's Python backend: a model on onnxruntime, whose file the parameter `onnx_file` of its configuration names."""

from __future__ import annotations  # Triton adds the classes of its module only when it has loaded this one

import json

import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """Answers with every output."""

    def initialize(self, args: dict[str, str]) -> None:
        file = json.loads(args["model_config"])["parameters"]["onnx_file"]["string_value"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options)
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]
        self._outputs = [tensor.name for tensor in self._session.get_outputs()]

    def execute(self, requests: list[triton.InferenceRequest]) -> list[triton.InferenceResponse]:
        return [triton.InferenceResponse(self._infer(request)) for request in requests]

    def _infer(self, request: triton.InferenceRequest) -> list[triton.Tensor]:
        feed = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
        return [
            triton.Tensor(*pair) for pair in zip(self._outputs, self._session.run(self._outputs, feed), strict=True)
        ]
