"""The images that rings run, and get."""

import pytest

from support.model_images import ModelImages, write_model_images


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ModelImages:
    """Two versions of a model, in a folder."""
    return write_model_images(tmp_path_factory.mktemp("images"), "1.0.0", "1.1.0")
