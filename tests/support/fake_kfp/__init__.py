"""A fake KFP 2.16 backend like that of Data Science Pipelines, over real HTTP. It simulates runs."""

from support.fake_kfp.refusals import KFP, OPENSHIFT_AI, RefusedError
from support.fake_kfp.server import FakeKfp

__all__ = ["KFP", "OPENSHIFT_AI", "FakeKfp", "RefusedError"]
