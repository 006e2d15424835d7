"""Defaults that let every pipeline run as it is, on data that the project generates itself."""

DATA = "synthetic:ai4i?rows=10000&seed=0"
GATES = {"roc_auc": 0.7}
MODEL_NAME = "machine-failure"
MODEL_VERSION = "0.1.0"
#: In the folder where the run was started; on a cluster, name a registry and a repository instead.
REGISTRY = "oci:.kfp-edge/registry"
GITOPS_REPO = ".kfp-edge/gitops.git"

# On a cluster: the limits of tasks that work on the data, and names of Secrets and of a ConfigMap that may be missing.
CPU = "2"
MEMORY = "4Gi"
DATA_CONNECTION = "kfp-edge-data"
REGISTRY_SECRET = "kfp-edge-registry"
GIT_SECRET = "kfp-edge-git"
CA_BUNDLE = "kfp-edge-ca"
