"""The image of a server: a Dockerfile in stages, of which the last is small, and what it is built of."""

from __future__ import annotations

from orita.deploy.rendered import MARK, RenderedFile
from orita.deploy.site import Site

__all__ = ["HEALTH_CHECK", "HOME", "PORT", "PROJECT", "USER", "image_files"]

HOME, PROJECT = "/var/lib/orita", "/project"
"""Where a container has the home and the project's files."""

PORT = 8080
"""Where a server answers in its container."""

USER = 10001
"""Number of the user and the group that everything runs as; it owns the home and nothing else."""

_URL = f"http://127.0.0.1:{PORT}/health/ready"
HEALTH_CHECK = ("python", "-c", f"import urllib.request; urllib.request.urlopen('{_URL}', timeout=2)")
"""Ends with 0 where the server of this container is ready; there is no curl in it."""

_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "requirements.lock", "requirements-cuda.lock")
_TREES = ("src", "systems")


def image_files(site: Site) -> list[RenderedFile]:
    """Return the Dockerfile and what of the sources it may see."""
    return [
        RenderedFile("Dockerfile", _dockerfile(site)),
        # BuildKit takes the ignore file that has the Dockerfile's name first, so that it can lie beside it.
        RenderedFile("Dockerfile.dockerignore", _ignored()),
    ]


def _dockerfile(site: Site) -> str:
    base = site.deployment.images.base
    serving = [name for name, used in _extras(site).items() if used]
    tracked = ["postgres"] if (site.registry.tracking_uri or "").startswith("postgresql") else []
    training = [*dict.fromkeys([*serving, *tracked]), "train"]
    return _built(site, _requirement(serving), _requirement(training)) + _run(base)


def _built(site: Site, serving: str, training: str) -> str:
    base = site.deployment.images.base
    return f"""\
# {MARK} from orita.yaml. In Orita's sources:
#   docker build --file deploy/Dockerfile --tag {site.deployment.images.orita} .                        the server
#   docker build --file deploy/Dockerfile --tag orita-pipelines --target pipelines .    with what trains
# Every version is the lock file's. Nothing runs as root; the root file system may be read-only.

FROM {base} AS build
ENV PIP_CONSTRAINT=/source/requirements.lock PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
COPY {" ".join(_SOURCES)} ./
COPY src src
COPY systems systems
# An environment without pip: what is installed is what is there. PIP_CONSTRAINT pins every version.
# hadolint ignore=DL3013
RUN python -m venv --without-pip /opt/orita \\
 && pip --python /opt/orita/bin/python install "{serving}"

FROM build AS build-pipelines
# hadolint ignore=DL3013
RUN pip --python /opt/orita/bin/python install "{training}"
"""


def _run(base: str) -> str:
    check = ", ".join(f'"{word}"' for word in HEALTH_CHECK)
    return f"""
FROM {base} AS runtime
RUN groupadd --system --gid {USER} orita \\
 && useradd --system --uid {USER} --gid {USER} --home-dir {HOME} --no-create-home --shell /usr/sbin/nologin orita \\
 && install --directory --owner {USER} --group {USER} --mode 0750 {HOME} \\
 && install --directory {PROJECT}
ENV PATH=/opt/orita/bin:$PATH ORITA_HOME={HOME} ORITA_SERVING__HOST=0.0.0.0 ORITA_SERVING__PORT={PORT} \\
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR {PROJECT}
STOPSIGNAL SIGTERM
ENTRYPOINT ["orita"]

FROM runtime AS pipelines
# LightGBM is linked to OpenMP's library; the base image says of which Debian.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build-pipelines /opt/orita /opt/orita
USER {USER}:{USER}
CMD ["run", "all"]

FROM runtime AS server
COPY --from=build /opt/orita /opt/orita
USER {USER}:{USER}
EXPOSE {PORT}
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD [{check}]
CMD ["serve"]
"""


def _extras(site: Site) -> dict[str, bool]:
    """Return which optional parts a server of *site* needs."""
    serving = site.serving
    return {
        "client": bool(serving.jobs.callbacks.hosts),
        "graphql": bool(serving.expose_graphql),  # in a container no address is loopback, so null means off
        "grpc": serving.inference_grpc_port is not None,
        "kafka": site.events.log == "kafka",
        "postgres": bool(site.control.url),
        "redis": "redis" in (site.online.store, serving.cache.store, serving.jobs.queue),
    }


def _requirement(extras: list[str]) -> str:
    return f".[{','.join(extras)}]" if extras else "."


def _ignored() -> str:
    lines = [f"# {MARK}: everything is left out but what is built.", "*"]
    lines += [f"!{name}" for name in (*_SOURCES, *_TREES)]
    lines += ["**/__pycache__", "**/*.pyc", "**/.orita*"]
    return "\n".join(lines) + "\n"
