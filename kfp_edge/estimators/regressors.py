"""The estimators of numbers that users can name."""

from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import ElasticNet, LinearRegression, Ridge
from sklearn.tree import DecisionTreeRegressor

from kfp_edge.estimators import search_spaces
from kfp_edge.estimators.estimator import Estimator
from kfp_edge.estimators.gradient_boosting import fit_boosted_trees
from kfp_edge.estimators.hyperparameters import Range

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
)
