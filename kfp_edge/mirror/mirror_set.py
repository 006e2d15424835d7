"""The manifest by which an OpenShift cluster pulls images from the registry of its site."""

import yaml

from kfp_edge.errors import ParameterError
from kfp_edge.fleet.sites.files import mirror_name
from kfp_edge.mirror.images import SiteState, require_registry


def render_mirror_set(state: SiteState, registry: str) -> str:
    """Return an ImageDigestMirrorSet (config.openshift.io/v1) for the images of a site.

    With it, a site needs no `registry` in its `site.yaml`: its pods name the images as the ring does, and the nodes ask
    the mirror only, so that none waits for a registry that it cannot reach.

    Args:
        state: What the site needs.
        registry: The registry of the site; by default what `site.yaml` says.

    Raises:
        ParameterError: no registry is known, or the ring of the site has no image yet.
    """
    host = require_registry(state.site.name, state.site.registry, registry)
    names = sorted({image.new_name for image in (*state.current, *state.previous)})
    if not names:
        raise ParameterError(
            f"{state.site.name} has no image yet; release a model to the ring {state.site.ring} first."
        )
    document = {
        "apiVersion": "config.openshift.io/v1",
        "kind": "ImageDigestMirrorSet",
        "metadata": {"name": f"kfp-edge-{state.site.name}"},
        "spec": {
            "imageDigestMirrors": [
                {
                    "source": name,
                    "mirrors": [mirror_name(name, host)],
                    "mirrorSourcePolicy": "NeverContactSource",
                }
                for name in names
            ]
        },
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text
