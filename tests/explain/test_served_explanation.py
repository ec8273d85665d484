"""What a server tells over HTTP is what `explain_request` tells, in the form that its description says."""

from __future__ import annotations

from functools import partial

import msgspec
from tests.explain.served_home import loader

from orita.explain import explain_request
from orita.models.package import Package
from orita.pipelines.workspace import Workspace
from orita.serving.app import create_app
from orita.serving.explain.openapi import Explanation, LoggedAnswer
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package


def test_all_of_a_request(served: tuple[Workspace, Package]) -> None:
    """Every field of a real answer is described, with its type, and none is described that is not there."""
    workspace, package = served
    explain = partial(explain_request, workspace.home, workspace.system, load=loader(workspace))
    features = HashedFeatures(package.schema.names)
    app = create_app(workspace.home, "small", features, load=load_line_package, explain=explain)
    with AsgiClient(app) as client:
        logged = client.get("/api/v1/predictions/r1").json()["data"]
        explained = client.get("/api/v1/predictions/r1/explanation?top=2").json()["data"]
        unknown = client.get("/api/v1/predictions/unheard-of/explanation")
        item = client.get("/api/v1/predictions/r1/explanation?item=no")
    assert [item["rank"] for item in logged["items"]] == [1, 2, 3, 4]
    assert explained == msgspec.json.decode(msgspec.json.encode(explain("r1", top=2)))
    assert msgspec.to_builtins(msgspec.convert(logged, LoggedAnswer)) == logged
    assert msgspec.to_builtins(msgspec.convert(explained, Explanation)) == explained
    assert (unknown.status, item.status) == (404, 404)
