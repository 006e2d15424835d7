"""KServe's Python SDK with a custom model: python kserve_model.py --http_port N --grpc_port N ONNX-FILE."""

import sys
import uuid

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

_DATATYPES = {"int64": "INT64", "float32": "FP32"}


class OnnxModel(Model):
    """An ONNX model on onnxruntime; answers with every output, as text or binary as the request wants."""

    def __init__(self, name: str, file: str) -> None:
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.ready = True

    def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        feed = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        arrays = self._session.run(self._outputs, feed)
        outputs = []
        for name, array in zip(self._outputs, arrays, strict=True):
            output = InferOutput(name, list(array.shape), _DATATYPES[array.dtype.name])
            if payload.from_grpc:
                output.set_data_from_numpy(array)
            else:
                output.data = array  # the SDK writes it as the client wants it
            outputs.append(output)
        return InferResponse(
            payload.id or str(uuid.uuid4()), self.name, outputs, use_binary_outputs=payload.use_binary_outputs
        )


if __name__ == "__main__":
    ModelServer().start([OnnxModel("machine-failure", sys.argv[-1])])
