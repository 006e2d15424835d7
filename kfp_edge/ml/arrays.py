"""Types of the NumPy arrays that stages pass to each other."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
#: One flag for each row: True where the row is selected.
Mask = npt.NDArray[np.bool_]
#: Class labels of shape [n]: integers, or strings as Python objects.
Labels = npt.NDArray[np.int64] | npt.NDArray[np.object_]
ClassLabel = int | str
