"""The estimators of numbers that users can name."""

from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import ElasticNet, LinearRegression, Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

from kfp_edge.estimators import search_spaces
from kfp_edge.estimators.estimator import Estimator
from kfp_edge.estimators.gradient_boosting import fit_boosted_trees
from kfp_edge.estimators.hyperparameters import Range
from kfp_edge.ml.dataset import Dataset


def _scale_target(model: BaseEstimator, data: Dataset) -> TransformedTargetRegressor:
    """Let a model learn the target in its standard deviations from the mean, whatever its unit is."""
    return TransformedTargetRegressor(model, transformer=StandardScaler())


REGRESSORS = (
    Estimator(
        "hist_gradient_boosting",
        "regression",
        "gradient-boosted trees on histograms",
        HistGradientBoostingRegressor,
        "raw",
        search_space=search_spaces.HIST_GRADIENT_BOOSTING,
        refused=search_spaces.REFUSED_OF_HIST_GRADIENT_BOOSTING
        | {
            "loss": "skl2onnx 1.20 forgets the exponential of the losses poisson and gamma",
            "quantile": "the parameter quantiles names them",
        },
        fit_pipeline=fit_boosted_trees,
    ),
    Estimator(
        "gradient_boosting",
        "regression",
        "gradient-boosted trees on all values",
        GradientBoostingRegressor,
        "imputed",
        search_space=search_spaces.GRADIENT_BOOSTING,
        refused={"init": "ONNX has no such start"},
    ),
    Estimator(
        "random_forest",
        "regression",
        "random forest",
        RandomForestRegressor,
        "raw",
        defaults={"n_estimators": 100, "min_samples_leaf": 5},
        search_space=search_spaces.FOREST,
    ),
    Estimator(
        "extra_trees",
        "regression",
        "extremely randomized trees",
        ExtraTreesRegressor,
        "raw",
        defaults={"n_estimators": 100, "min_samples_leaf": 5},
        search_space=search_spaces.FOREST,
    ),
    Estimator(
        "decision_tree",
        "regression",
        "a single decision tree",
        DecisionTreeRegressor,
        "raw",
        defaults={"max_depth": 6, "min_samples_leaf": 5},
        search_space=search_spaces.DECISION_TREE,
    ),
    Estimator("linear_regression", "regression", "linear regression by least squares", LinearRegression, "scaled"),
    Estimator(
        "ridge",
        "regression",
        "linear regression with an L2 penalty",
        Ridge,
        "scaled",
        search_space=(Range("alpha", 1e-4, 1e3, log=True),),
    ),
    Estimator(
        "elastic_net",
        "regression",
        "linear regression with L1 and L2 penalties",
        ElasticNet,
        "scaled",
        defaults={"alpha": 0.01, "max_iter": 10_000},
        search_space=(Range("alpha", 1e-4, 1e3, log=True), Range("l1_ratio", 0.0, 1.0)),
    ),
    Estimator(
        "svm",
        "regression",
        "support vector machine on the scaled target",
        SVR,
        "scaled",
        search_space=(*search_spaces.SVM, Range("epsilon", 1e-3, 1.0, log=True)),
        max_rows=20_000,
        wrap=_scale_target,
    ),
    Estimator(
        "mlp",
        "regression",
        "neural network (multilayer perceptron) on the scaled target",
        MLPRegressor,
        "scaled",
        defaults={"hidden_layer_sizes": [64, 32], "max_iter": 300},
        search_space=search_spaces.MLP,
        refused={"loss": "ONNX has the default one only"},
        wrap=_scale_target,
    ),
)
