"""The versions of OpenShift AI and KFP, and the fields that each of them knows."""
