"""onnxruntime without a server: python bare_onnxruntime.py MODEL INPUT COLUMNS SECONDS < ROWS (float32)."""

import sys

import numpy as np
import onnxruntime
import stopwatch


def main(model: str, name: str, columns: str, seconds: str) -> None:
    feed = {name: np.frombuffer(sys.stdin.buffer.read(), np.float32).reshape(-1, int(columns))}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    outputs = [output.name for output in session.get_outputs()]
    stopwatch.measure(lambda: session.run(outputs, feed), float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
