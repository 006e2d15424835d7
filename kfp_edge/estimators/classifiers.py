"""The classifiers that users can name; every one gives a probability for each class."""

from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from kfp_edge.estimators import search_spaces
from kfp_edge.estimators.calibration import calibrate, fit_calibrated, forget_parts
from kfp_edge.estimators.estimator import Estimator
from kfp_edge.estimators.gradient_boosting import fit_boosted_trees
from kfp_edge.estimators.hyperparameters import Range

CLASSIFIERS = (
    Estimator(
        "hist_gradient_boosting",
        "classification",
        "gradient-boosted trees on histograms",
        HistGradientBoostingClassifier,
        "raw",
        search_space=search_spaces.HIST_GRADIENT_BOOSTING,
        refused=search_spaces.REFUSED_OF_HIST_GRADIENT_BOOSTING,
        fit_pipeline=fit_boosted_trees,
    ),
    Estimator(
        "gradient_boosting",
        "classification",
        "gradient-boosted trees on all values",
        GradientBoostingClassifier,
        "imputed",
        search_space=search_spaces.GRADIENT_BOOSTING,
        refused={"init": "ONNX has no such start", "loss": "ONNX has the default one only"},
    ),
    Estimator(
        "random_forest",
        "classification",
        "random forest",
        RandomForestClassifier,
        "raw",
        defaults={"n_estimators": 100, "min_samples_leaf": 5},
        search_space=search_spaces.FOREST,
    ),
    Estimator(
        "extra_trees",
        "classification",
        "extremely randomized trees",
        ExtraTreesClassifier,
        "raw",
        defaults={"n_estimators": 100, "min_samples_leaf": 5},
        search_space=search_spaces.FOREST,
    ),
    Estimator(
        "decision_tree",
        "classification",
        "a single decision tree",
        DecisionTreeClassifier,
        "raw",
        defaults={"max_depth": 6, "min_samples_leaf": 5},
        search_space=search_spaces.DECISION_TREE,
    ),
    Estimator(
        "logistic_regression",
        "classification",
        "logistic regression",
        LogisticRegression,
        "scaled",
        defaults={"max_iter": 1000},
        search_space=(Range("C", 1e-3, 1e2, log=True),),
    ),
    Estimator(
        "linear_svm",
        "classification",
        "linear support vector machine with calibrated probabilities",
        LinearSVC,
        "scaled",
        defaults={"max_iter": 10_000},
        search_space=(Range("C", 1e-3, 1e2, log=True),),
        wrap=calibrate,
        fit_pipeline=fit_calibrated,
        finish=forget_parts,
    ),
    Estimator(
        "svm",
        "classification",
        "support vector machine with calibrated probabilities",
        SVC,
        "scaled",
        search_space=search_spaces.SVM,
        refused=search_spaces.REFUSED_OF_SVM,
        max_rows=20_000,
        wrap=calibrate,
        fit_pipeline=fit_calibrated,
        finish=forget_parts,
    ),
    Estimator(
        "mlp",
        "classification",
        "neural network (multilayer perceptron)",
        MLPClassifier,
        "scaled",
        defaults={"hidden_layer_sizes": [64, 32], "max_iter": 300},
        search_space=search_spaces.MLP,
    ),
)
