"""Models whose ONNX export is known to answer otherwise than scikit-learn, each with what was measured.

They were compared with skl2onnx 1.20, scikit-learn 1.9 and onnxruntime 1.32 on tables of 600 rows.
"""

_NEIGHBOURS = (
    "nearest neighbours are not offered, because ONNX chooses other ones among equally near rows (measured: 147 of "
    "15,000 labels differ), and needs 0.7 ms for a row"
)
_DENSITY = (
    "the local outlier factor is not offered, because it is a division by almost nothing where rows repeat "
    "(measured: 119 of 15,000 labels differ)"
)
_ISOTONIC = (
    "isotonic calibration is not offered, because its steps amplify rounding (measured: probabilities differ by up "
    "to 0.13, and labels with them); svm and linear_svm calibrate with a sigmoid"
)
_ELSEWHERE = "train it where you have its library, export it to ONNX there, and use the pipeline delivery"

#: Words of a name -> why there is no such estimator.
_REASONS = {
    ("neighbor", "neighbour", "knn"): _NEIGHBOURS,
    ("lof", "localoutlier", "local_outlier"): _DENSITY,
    ("isotonic",): _ISOTONIC,
    ("xgb", "lightgbm", "lgbm", "catboost", "torch", "tensorflow", "keras"): _ELSEWHERE,
}


def find_reason(name: str) -> str:
    """Return why an estimator of this name is not offered, or "" where nothing is known of it."""
    written = name.lower()
    return next((reason for words, reason in _REASONS.items() if any(word in written for word in words)), "")
