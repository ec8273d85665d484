"""Files that run several servers behind one address, and watch them, from one configuration.

`render` makes them, `Site` is what it makes them of, `write` puts them into a folder.
"""

from orita.deploy.config import DeploymentConfig
from orita.deploy.rendered import RenderedFile, differing, write
from orita.deploy.site import Site, own_files
from orita.deploy.targets import TARGETS, Target, render

__all__ = ["TARGETS", "DeploymentConfig", "RenderedFile", "Site", "Target", "differing", "own_files", "render", "write"]
