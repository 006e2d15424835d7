"""The decorator of every component: one runtime image, nothing installed when a pod starts."""

import functools
import os

from kfp import dsl

#: The image that has this package installed. A release pins it by digest.
RUNTIME_IMAGE = os.environ.get("KFP_EDGE_RUNTIME_IMAGE", "quay.io/kfp-edge/runtime:0.1.0")

component = functools.partial(dsl.component, base_image=RUNTIME_IMAGE, install_kfp_package=False)
