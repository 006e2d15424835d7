"""The types that a skops file may contain beyond those that skops trusts: each is named, no module is trusted whole.

A type is added only after its code was read. Loading a file makes objects of these types without running their
constructors, and sets attributes. So the code of a type must run nothing that its attributes name, and compiled code
must not follow numbers without bounds checks, unless `compiled_parts.py` checks them first. For the latter reason the
k-d trees, ball trees and distances of nearest neighbours are not here.
"""

_KERNELS = (
    "CompoundKernel",
    "ConstantKernel",
    "DotProduct",
    "Exponentiation",
    "ExpSineSquared",
    "Matern",
    "Product",
    "RationalQuadratic",
    "RBF",
    "Sum",
    "WhiteKernel",
)
_SPLITTERS = (
    "GroupKFold",
    "GroupShuffleSplit",
    "KFold",
    "LeaveOneGroupOut",
    "LeaveOneOut",
    "RepeatedKFold",
    "RepeatedStratifiedKFold",
    "ShuffleSplit",
    "StratifiedGroupKFold",
    "StratifiedKFold",
    "StratifiedShuffleSplit",
    "TimeSeriesSplit",
)

TRUSTED_TYPES = frozenset(
    {
        "kfp_edge.estimators.pca_residual.PcaResidual",
        "kfp_edge.ml.bounds.BoundedRegressor",
        "kfp_edge.tasks.regression.quantile_regressor.QuantileRegressor",
        "numpy.dtype",
        "numpy.number",  # by which make_column_selector chooses columns; it has no instances
        # trees, whose nodes are checked
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        # what fitted estimators keep: plain Python and NumPy
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.compose._column_transformer.make_column_selector",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS),
        *(f"sklearn.model_selection._split.{name}" for name in _SPLITTERS),
        # functions that only compute the scores of columns
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
    }
)
