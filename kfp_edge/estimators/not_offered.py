"""Why estimators that users look for are not among those that they can name."""

from kfp_edge.ml.known_differences import explain_types

_ELSEWHERE = "a model of another library is trained there, exported to ONNX and delivered with the pipeline delivery"

#: Words of a name -> the class of scikit-learn that is meant, whose ONNX export is known to answer otherwise.
_CLASSES = {
    ("neighbor", "neighbour", "knn"): "sklearn.neighbors._classification.KNeighborsClassifier",
    ("lof", "localoutlier", "local_outlier"): "sklearn.neighbors._lof.LocalOutlierFactor",
    ("isotonic",): "sklearn.isotonic.IsotonicRegression",
}
_LIBRARIES = ("xgb", "lightgbm", "lgbm", "catboost", "torch", "tensorflow", "keras")


def explain_absence(name: str) -> str:
    """Return why no estimator has this name, or "" where nothing is known of it."""
    written = name.lower()
    if any(library in written for library in _LIBRARIES):
        return _ELSEWHERE
    for words, class_name in _CLASSES.items():
        if any(word in written for word in words):
            return explain_types([class_name])
    return ""
