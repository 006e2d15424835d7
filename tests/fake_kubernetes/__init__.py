"""A FAKE of the Kubernetes API, over real HTTP: stores and checks objects, runs nothing itself (controllers do)."""

from fake_kubernetes.fake import Call, FakeKubernetes
from fake_kubernetes.logs import Log
from fake_kubernetes.store import Change, Refused

__all__ = ["Call", "Change", "FakeKubernetes", "Log", "Refused"]
