"""A fake of a KFP 2.16 backend as Data Science Pipelines runs it, over real HTTP. It only pretends to run."""

from support.fake_kfp.server import FakeKfp
from support.fake_kfp.store import Refusal

__all__ = ["FakeKfp", "Refusal"]
