"""What estimators of several tasks have in common: where tuning searches, and which hyperparameters are refused."""

from kfp_edge.estimators.hyperparameters import Choice, Dimension, Range

HIST_GRADIENT_BOOSTING: tuple[Dimension, ...] = (
    Range("learning_rate", 0.02, 0.3, log=True),
    Range("max_iter", 50, 500, whole=True),
    Range("max_leaf_nodes", 7, 63, log=True, whole=True),
    Range("min_samples_leaf", 5, 100, log=True, whole=True),
    Range("l2_regularization", 1e-6, 10, log=True),
    Range("max_features", 0.3, 1.0),
)
REFUSED_OF_HIST_GRADIENT_BOOSTING = {
    "categorical_features": "skl2onnx 1.20 converts their splits to comparisons of numbers (measured: 584 of 1,800 "
    "labels differ); text columns become indicator columns in any case",
    "scoring": "rows held out of the training decide when to stop, by the loss",
}

GRADIENT_BOOSTING: tuple[Dimension, ...] = (
    Range("learning_rate", 0.02, 0.3, log=True),
    Range("n_estimators", 50, 400, whole=True),
    Range("max_depth", 2, 6, whole=True),
    Range("min_samples_leaf", 1, 50, log=True, whole=True),
    Range("subsample", 0.5, 1.0),
)

#: At most 300 trees: a grown forest of 100 has several MB.
FOREST: tuple[Dimension, ...] = (
    Range("n_estimators", 100, 300, whole=True),
    Choice("max_depth", (4, 6, 8, 12, 20, None)),
    Range("min_samples_leaf", 1, 30, log=True, whole=True),
    Range("max_features", 0.2, 1.0),
)

DECISION_TREE: tuple[Dimension, ...] = (
    Range("max_depth", 2, 10, whole=True),
    Range("min_samples_leaf", 5, 100, log=True, whole=True),
    Range("ccp_alpha", 1e-5, 1e-1, log=True),
)

SVM: tuple[Dimension, ...] = (
    Range("C", 1e-1, 1e3, log=True),
    Range("gamma", 1e-4, 1.0, log=True),
)
REFUSED_OF_SVM = {
    "probability": "probabilities are calibrated by sigmoids in any case",
    "break_ties": "the label is that of the highest probability",
}

MLP: tuple[Dimension, ...] = (
    Choice("hidden_layer_sizes", ([16], [32], [64], [64, 32])),
    Range("alpha", 1e-6, 1e-1, log=True),
    Range("learning_rate_init", 1e-4, 1e-2, log=True),
)
