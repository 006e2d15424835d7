"""Checks of what a task's pod is made of, by the rules of KFP's driver and of Kubernetes.

A server takes these values as they are. The driver makes the pod when a run reaches the task, and Kubernetes refuses it
then. Values that only a run knows are not checked, except quantities: they are followed to the parameters that set
them.

Sources: `extendPodSpecPatch` and `initPodSpecPatch` (backend/src/v2/driver of KFP 2.16.1), whose patch Argo merges into
the pod by the rules of a strategic merge patch, and `pkg/apis/core/validation` of Kubernetes 1.34.2. What is merged and
refused was tried on a cluster of these versions.
"""
