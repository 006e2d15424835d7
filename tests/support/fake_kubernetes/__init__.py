"""A FAKE of the Kubernetes API, over real HTTP: stores and checks objects, runs nothing itself (controllers do)."""

from support.fake_kubernetes.fake import FakeKubernetes
from support.fake_kubernetes.logs import Log
from support.fake_kubernetes.store import Change, Refused

__all__ = ["Change", "FakeKubernetes", "Log", "Refused"]
