"""What can be rendered, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

from orita.deploy.alertmanager import alertmanager_file
from orita.deploy.compose import compose_files
from orita.deploy.grafana import grafana_files
from orita.deploy.kubernetes import kubernetes_files
from orita.deploy.nginx import nginx_file
from orita.deploy.prometheus import prometheus_files
from orita.deploy.rendered import RenderedFile
from orita.deploy.site import Site

__all__ = ["TARGETS", "Target", "render"]

Target = Literal["nginx", "compose", "kubernetes", "prometheus", "alertmanager", "grafana", "all"]
TARGETS: tuple[Target, ...] = get_args(Target)


def _all(site: Site) -> list[RenderedFile]:
    return [*compose_files(site), *kubernetes_files(site)]


_RENDERERS: Mapping[Target, Callable[[Site], list[RenderedFile]]] = MappingProxyType(
    {
        "nginx": lambda site: [nginx_file(site)],
        "compose": compose_files,
        "kubernetes": kubernetes_files,
        "prometheus": prometheus_files,
        "alertmanager": lambda site: [alertmanager_file(site)],
        "grafana": grafana_files,
        "all": _all,
    }
)


def render(target: Target, site: Site) -> list[RenderedFile]:
    """Return the files of *target* for *site*; the same configuration gives the same bytes.

    Args:
        target: ``nginx``: nginx.conf; ``prometheus``: scraping and rules; ``alertmanager``: who is told; ``grafana``:
            dashboards; ``compose``: an image, and containers with all of these before and beside them; ``kubernetes``:
            manifests; ``all``: these two.
        site: what is deployed.
    """
    return _RENDERERS[target](site)
