"""The dashboards of the hub."""

from kfp_edge.observability.dashboards.fleet import FLEET
from kfp_edge.observability.dashboards.model import ONE_MODEL
from kfp_edge.observability.dashboards.rollout import ROLLOUT
from kfp_edge.observability.dashboards.site import ONE_SITE

DASHBOARDS = (FLEET, ONE_SITE, ONE_MODEL, ROLLOUT)
