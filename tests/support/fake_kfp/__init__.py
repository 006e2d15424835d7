"""A fake KFP 2.16 backend like that of Data Science Pipelines, over real HTTP. It simulates runs."""

from support.fake_kfp.server import FakeKfp
from support.fake_kfp.store import RefusedError

__all__ = ["FakeKfp", "RefusedError"]
