"""What is rendered, judged by the programs and schemas that read it; and how it comes into a folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.sites import NO_NGINX, site_of
from typer.testing import CliRunner

from orita.core.errors import UserError
from orita.deploy import RenderedFile, Site, differing, render, write
from orita.deploy.kubernetes_policies import down_tolerance
from orita.deploy.rendered import MARK
from orita.project import open_project
from orita.serving.batching.route import PATH as BATCH
from orita.serving.jobs.requests import PREFIX as JOBS

ROOT = Path(__file__).resolve().parents[2]
_HARD = {
    "policy": "consistent_hash",
    "replicas": [f"10.0.0.{n}:8080" for n in range(1, 6)] + ["[2001:db8::1]:8080"],
    "user_key": {"source": "cookie", "name": "uid"},
    "port": 8443,
    "nginx": {"internal_networks": ["10.0.0.0/8", "2001:db8::/32"], "repeat": [], "read_seconds": 0.25},
    "alerts": {"error_rate": None, "throughput_per_minute": None, "latency_p99_ms": 250},
    "resources": {"cpu": "500m", "cpu_limit": "2", "memory": "1Gi", "memory_limit": "2Gi"},
    "autoscaling": {"min_instances": 3, "max_instances": 30, "high_cpu": 60, "low_cpu": 20},
    "kubernetes": {"namespace": "ranking", "name": "feed", "secret": "redis-password"},
}
SITES = {
    "plain": site_of(redis=True),
    "hard": site_of({"port": 9000}, redis=True, control="postgresql://orita@control.example/orita", **_HARD),
}


@pytest.fixture(params=sorted(SITES))
def site(request: pytest.FixtureRequest) -> Site:
    """A site with defaults only, and one with nearly everything set."""
    return SITES[request.param]


def _documents(files: list[RenderedFile]) -> dict[str, Any]:
    return {file.path: yaml.safe_load(file.text) for file in files if file.path.endswith(".yaml")}


def test_deploy_is_what_is_rendered() -> None:
    """The folder ``deploy`` holds what its own configuration renders, to the byte, and nothing else but that."""
    project = open_project(ROOT / "deploy", home=ROOT / "deploy" / ".orita")
    files = render("all", project.site())
    again = "orita --project deploy render all --out deploy"
    assert [str(path) for path in differing(files, ROOT / "deploy")] == [], f"run: {again}"
    there = {path.relative_to(ROOT / "deploy").as_posix() for path in (ROOT / "deploy").rglob("*") if path.is_file()}
    assert there == {"orita.yaml", *(file.path for file in files)}


def test_the_same_configuration_gives_the_same_bytes(site: Site) -> None:
    """Rendering twice gives equal files, each with its mark, YAML that is read back, and each path once."""
    files = render("all", site)
    assert files == render("all", site)
    assert all(MARK in file.text[:2000] for file in files)
    assert len({file.path for file in files}) == len(files)
    assert all(document for document in _documents(files).values())


def test_nginx_bounds_jobs_and_batches_as_their_servers_do() -> None:
    """A long job comes through, a batch may take as long as its caller may say, and what is below is public as well."""
    deadline = {"default_ms": 1000, "most_ms": 12_000}
    jobs = {"max_body_bytes": 5_000_000}
    site = site_of(
        {"jobs": jobs, "resilience": {"deadline": deadline}}, nginx={"public": ["/predict", "/api/v1"], "repeat": []}
    )
    conf = next(file.text for file in render("nginx", site) if file.path.endswith("nginx.conf"))
    places = dict(re.findall(r"location = (\S+) \{([^}]*)\}", conf))
    assert places[JOBS].split(";")[0].split() == ["client_max_body_size", "5000000"]
    assert "proxy_read_timeout 12000ms;" in places[BATCH]
    assert "deny all" not in places[JOBS] + places[BATCH]
    (features,) = re.findall(r"location /api/v1/features \{([^}]*)\}", conf)
    assert "deny all" not in features


@pytest.mark.skipif(bool(NO_NGINX), reason=NO_NGINX)
@pytest.mark.parametrize("name", sorted(SITES))
def test_nginx_takes_its_configuration(name: str, tmp_path: Path) -> None:
    """``nginx -t`` finds no fault, and warns of nothing, in what a machine and what containers get."""
    site = SITES[name]
    (machine,) = render("nginx", site)
    contained = next(file for file in render("compose", site) if file.path == "nginx/nginx.conf")
    known = contained.text.replace("server-", "127.0.0.")  # names of containers are known only among them
    for number, text in enumerate((machine.text, known)):
        file = tmp_path / f"{number}.conf"
        file.write_text(text.replace("/tmp/", f"{tmp_path}/"))
        command = ["nginx", "-e", "stderr", "-p", str(tmp_path), "-t", "-c", str(file)]
        judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert judged.returncode == 0, judged.stderr
        assert "[warn]" not in judged.stderr.replace('the "user" directive', "")


def _promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("there is no promtool here: sudo apt-get install prometheus")
    return found


def test_promtool_takes_configuration_and_rules(site: Site, tmp_path: Path) -> None:
    """promtool finds no fault in what is scraped and in the rules."""
    promtool = _promtool()
    write(render("prometheus", site), tmp_path)
    command = [promtool, "check", "config", str(tmp_path / "prometheus/prometheus.yaml")]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    rules = yaml.safe_load((tmp_path / "prometheus/rules/orita.yaml").read_text())["groups"]
    assert f"SUCCESS: {sum(len(group['rules']) for group in rules)} rules found" in judged.stdout


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    """By promtool's own simulation: each alert fires on series that deserve it, none on those of a sound system."""
    promtool = _promtool()
    write(render("prometheus", SITES["plain"]), tmp_path)
    (tmp_path / "cases.yaml").write_text(
        yaml.safe_dump({"rule_files": ["prometheus/rules/orita.yaml"], "tests": list(_alert_cases())})
    )
    command = [promtool, "test", "rules", "cases.yaml"]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def _alert_cases() -> Iterator[dict[str, Any]]:
    at = 'job="orita",instance="a:1"'
    ok = {  # 10 requests a second, all within 5 ms
        f"up{{{at}}}": "1x60",
        f'requests_total{{{at},status="200"}}': "0+600x60",
        f"prediction_errors_total{{{at}}}": "0+0x60",
        f'prediction_latency_bucket{{{at},le="0.005"}}': "0+600x60",
        f'prediction_latency_bucket{{{at},le="2.5"}}': "0+600x60",
        f'prediction_latency_bucket{{{at},le="+Inf"}}': "0+600x60",
        f'model_info{{{at},system="feed",version="v1.0.0",type="two_tower"}}': "1x60",
        f"prediction_log_dropped_rows_total{{{at}}}": "0x60",
        f"prediction_log_stuck{{{at}}}": "0x60",
        f"prediction_log_unconverted_bytes{{{at}}}": "0x60",
        f"package_refused_seconds{{{at}}}": "0x60",
        f'answers_total{{{at},level="1"}}': "0+600x60",
        f'answers_total{{{at},level="3"}}': "0+3x60",
        f'degraded_answers_total{{{at},reason="deadline"}}': "0+3x60",
        f'breaker_state{{{at},dependency="store",state="CLOSED"}}': "1x60",
        f'breaker_state{{{at},dependency="store",state="OPEN"}}': "0x60",
    }
    info = next(name for name in ok if name.startswith("model_info"))
    other = info.replace("v1.0.0", "v2.0.0").replace("a:1", "b:1")
    sick: dict[str, dict[str, str | None]] = {
        "HIGH_ERROR_RATE": {f"prediction_errors_total{{{at}}}": "0+36x60"},  # 6 %
        "HIGH_LATENCY": {f'prediction_latency_bucket{{{at},le="0.005"}}': "0+590x60"},
        "LOW_THROUGHPUT": {f'requests_total{{{at},status="200"}}': "0+99x60"},
        "SERVER_DOWN": {f"up{{{at}}}": "0x60", info: None},
        "NO_MODEL": {info: None},
        "MODELS_DIFFER": {other: "1x60", 'up{job="orita",instance="b:1"}': "1x60"},
        "PREDICTIONS_NOT_LOGGED": {f"prediction_log_dropped_rows_total{{{at}}}": "0+1x60"},
        "PREDICTION_LOG_STUCK": {f"prediction_log_stuck{{{at}}}": "1x60"},
        "PREDICTIONS_NOT_CONVERTED": {f"prediction_log_unconverted_bytes{{{at}}}": "70000000x60"},
        "PACKAGE_REFUSED": {f"package_refused_seconds{{{at}}}": "0+60x60"},
        "ANSWERS_DEGRADED": {f'degraded_answers_total{{{at},reason="deadline"}}': "0+12x60"},
        "BREAKER_OPEN": {f'breaker_state{{{at},dependency="store",state="OPEN"}}': "1x60"},
    }
    rules = yaml.safe_load(next(f.text for f in render("prometheus", SITES["plain"]) if "rules" in f.path))
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    assert names == list(sick), "an alert without a case"
    for firing, changes in [("", {}), *sick.items()]:
        series = {name: values for name, values in {**ok, **changes}.items() if values is not None}
        yield {
            "name": firing or "sound",
            "interval": "1m",
            "input_series": [{"series": name, "values": _series(values)} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count by (alertname) (ALERTS{{alertstate="firing",alertname="{name}"}})',
                    "eval_time": "50m",
                    "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1}] if name == firing else [],
                }
                for name in names
            ],
        }


def _series(values: str) -> str:
    """Return promtool's notation: it has no ``1x60`` for 61 equal values."""
    return values if "+" in values else f"{values.partition('x')[0]}+0x{values.partition('x')[2]}"


def test_kubernetes_takes_its_manifests(site: Site) -> None:
    """Each manifest passes the schemas that Kubernetes publishes, strictly: no field is unknown."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    manifests = _documents(render("kubernetes", site))
    kinds = [manifest["kind"] for manifest in manifests.values()]
    assert kinds == [
        *("Namespace", "ConfigMap", "PersistentVolumeClaim", "ServiceAccount", "Deployment"),
        *(["Deployment"] if site.control.url else []),
        *("Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"),
    ]
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, "1.37", strict=True)
    broken = manifests["kubernetes/40-deployment.yaml"]
    broken["spec"]["template"]["spec"]["containers"][0]["imagine"] = "this"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.37", strict=True)


def test_manifests_name_each_other(site: Site) -> None:
    """Selectors choose the pods, ports and volumes exist, and autoscaler and budget mean the deployment."""
    files = {path.split("-", 1)[1]: manifest for path, manifest in _documents(render("kubernetes", site)).items()}
    deployment, names = files["deployment.yaml"], site.deployment.kubernetes
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    budget, network = files["budget.yaml"]["spec"], files["network.yaml"]["spec"]
    for chosen in (deployment["spec"]["selector"], budget["selector"], network["podSelector"]):
        assert chosen["matchLabels"].items() <= labels
    assert files["service.yaml"]["spec"]["selector"].items() <= labels
    (server,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    assert files["service.yaml"]["spec"]["ports"][0]["targetPort"] in ports
    assert network["ingress"][0]["ports"][0]["port"] in ports.values()
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    for container in (server, *pod["spec"]["initContainers"]):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    scaler = files["autoscaler.yaml"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"] == names.name
    assert scaler["metrics"][0]["containerResource"]["container"] == server["name"]
    assert {manifest["metadata"].get("namespace", names.namespace) for manifest in files.values()} == {names.namespace}
    assert files["claim.yaml"]["metadata"]["name"] == names.home_claim
    patience = pod["spec"]["terminationGracePeriodSeconds"]
    assert patience > site.serving.shutdown_seconds + int(server["lifecycle"]["preStop"]["exec"]["command"][1])


@pytest.mark.parametrize(("low", "high"), [(30, 70), (20, 60), (1, 100), (69, 70), (50, 51)])
def test_servers_go_below_the_low_limit_and_only_there(low: int, high: int) -> None:
    """With the rendered tolerance, Kubernetes' rule keeps all servers at *low* percent and takes one at *low* − 1."""
    tolerance = int(down_tolerance(low, high).removesuffix("m")) / 1000
    assert abs(1 - low / high) <= tolerance < abs(1 - (low - 1) / high)


def test_compose_is_as_its_specification_says(site: Site) -> None:
    """The specification's own model reads the file, and every volume and network that is named is there."""
    compose_spec = pytest.importorskip("compose_spec")
    text = _filled_in(next(file.text for file in render("compose", site) if file.path == "compose.yaml"))
    compose_spec.PyCompose.from_yaml(text).validate()
    with pytest.raises(ValueError, match="imagine"):
        compose_spec.PyCompose.from_yaml(text.replace("    image:", "    imagine: this\n    image:", 1))


def _filled_in(text: str) -> str:
    """Return *text* with its variables' defaults, as compose puts them in before it reads the file."""
    return re.sub(r"\$\{\w+:([-?])([^}]*)\}", lambda found: found[2] if found[1] == "-" else "given", text)


def test_compose_mounts_what_is_rendered(site: Site) -> None:
    """Every file that a container is given is rendered, services that are waited for exist, and nothing is root's."""
    files = render("compose", site)
    services = _documents(files)["compose.yaml"]["services"]
    folders = {f"./{parent}" for file in files for parent in (file.path, *map(str, Path(file.path).parents))}
    for name, service in services.items():
        for mount in service.get("volumes", []):
            if isinstance(mount, dict) and mount["source"].startswith("./"):
                assert mount["source"] in folders, name
        assert set(service.get("depends_on", {})) <= set(services)
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    servers = [name for name in services if name.startswith("server-")]
    assert len(servers) == len(site.deployment.replicas)
    conf = next(file.text for file in files if file.path == "nginx/nginx.conf")
    targets = _documents(files)["prometheus/prometheus.yaml"]["scrape_configs"][0]["static_configs"][0]["targets"]
    assert targets == [f"{name}:8080" for name in servers]
    assert all(f"server {target} " in conf for target in targets)


def test_compose_publishes_what_callers_use() -> None:
    """With TLS the certificate is mounted where nginx looks, and plain HTTP is sent to the port that is published."""
    tls = {"certificate": "/etc/tls/chain.pem", "key": "/etc/tls/key.pem", "redirect_port": 80}
    files = render("compose", site_of(tls=tls, port=8443))
    nginx = _documents(files)["compose.yaml"]["services"]["nginx"]
    conf = next(file.text for file in files if file.path == "nginx/nginx.conf")
    assert nginx["ports"] == ["8443:8080", "80:80"]
    assert "listen 0.0.0.0:8080 ssl http2;" in conf and "return 308 https://$host:8443$request_uri;" in conf
    mounted = {mount["target"] for mount in nginx["volumes"]}
    assert {"/etc/tls/chain.pem", "/etc/tls/key.pem"} <= mounted
    assert "https://127.0.0.1:8080/balancer/health" in nginx["healthcheck"]["test"]


def test_stores_of_this_machine_become_containers_and_others_do_not() -> None:
    """Redis and PostgreSQL are services where the configuration has them at this machine, and only there."""
    from dataclasses import replace

    from orita.features.generations.opening import OnlineConfig
    from orita.features.stores.redis_server import RedisConfig
    from orita.registry.config import RegistryConfig

    def services(site: Site) -> set[str]:
        found = _documents(render("compose", site))["compose.yaml"]["services"]
        return {name for name in found if name in ("redis", "postgres")}

    here = replace(site_of(redis=True), registry=RegistryConfig(tracking_uri="postgresql://x@localhost/mlflow"))
    away = OnlineConfig(store="redis", redis=RedisConfig(url="rediss://cache.example.com:6380/1"))
    assert services(here) == {"redis", "postgres"}
    assert services(replace(here, online=away)) == {"postgres"}
    assert services(site_of()) == set()


def test_the_image_is_built_in_stages_and_runs_as_nobody(site: Site) -> None:
    """The last stage, a server's, compiles and installs nothing, is not root, and asks for its own readiness."""
    (text,) = (file.text for file in render("compose", site) if file.path == "Dockerfile")
    stages = text.split("\nFROM ")[1:]
    names = [stage.split("\n", 1)[0].split(" AS ")[1] for stage in stages]
    assert names[-1] == "server"
    last = stages[-1]
    assert "RUN" not in last and "COPY --from=build /opt/orita /opt/orita" in last
    user = next(line for line in last.splitlines() if line.startswith("USER "))
    assert user == "USER 10001:10001"
    assert "HEALTHCHECK" in last and "/health/ready" in last
    assert "train" not in stages[0], "a server has no library that trains"
    copied = next(line for line in text.splitlines() if line.startswith("COPY pyproject.toml")).split()[1:-1]
    assert all((ROOT / name).exists() for name in copied)
    (ignored,) = (file.text for file in render("compose", site) if file.path == "Dockerfile.dockerignore")
    assert {f"!{name}" for name in (*copied, "src", "systems")} <= set(ignored.splitlines())


def test_passwords_do_not_come_into_a_config_map() -> None:
    """A password in an address is refused by a sentence that says where it belongs."""
    from dataclasses import replace

    from orita.features.generations.opening import OnlineConfig
    from orita.features.stores.redis_server import RedisConfig

    shown = OnlineConfig(store="redis", redis=RedisConfig(url="redis://me:secret@cache:6379/0"))
    with pytest.raises(UserError, match=r"online\.redis\.url holds a password.*deployment\.kubernetes\.secret"):
        render("kubernetes", replace(site_of(redis=True), online=shown))


def test_control_state_in_a_database_is_read_there() -> None:
    """Then there is a controller, servers may ask the database and have its password, and only packages are copied."""
    url = "postgresql://orita@control.example:6432/orita"
    documents = _documents(render("kubernetes", site_of(redis=True, control=url, kubernetes={"secret": "passwords"})))
    secret = [{"secretRef": {"name": "passwords"}}]
    pod = documents["kubernetes/40-deployment.yaml"]["spec"]["template"]["spec"]
    for container in pod["initContainers"]:
        assert container["command"][-4:-2] == ["--control", url] or container["command"][-3:-1] == ["--control", url]
        assert container["envFrom"] == secret
    stores = documents["kubernetes/80-network.yaml"]["spec"]["egress"][1]["ports"]
    assert [each["port"] for each in stores] == [6379, 6432]
    controller = documents["kubernetes/45-controller.yaml"]["spec"]["template"]["spec"]["containers"][0]
    assert (controller["args"], controller["envFrom"]) == (["controller"], secret)
    assert "kubernetes/45-controller.yaml" not in _documents(render("kubernetes", site_of(redis=True)))
    with pytest.raises(UserError, match=r"control\.url holds a password"):
        render("kubernetes", site_of(redis=True, control="postgresql://orita:secret@control.example/orita"))


def test_servers_of_a_cluster_share_jobs_and_the_key_of_feeds() -> None:
    """Jobs are in the Redis of the online state, cursors are signed by one secret; who says otherwise is left alone."""

    def pod(site: Site) -> tuple[dict[str, str], list[str], list[dict[str, Any]]]:
        manifest = _documents(render("kubernetes", site))["kubernetes/40-deployment.yaml"]
        spec = manifest["spec"]["template"]["spec"]
        (server,) = spec["containers"]
        environment = {each["name"]: each["value"] for each in server.get("env", ())}
        return environment, [mount["mountPath"] for mount in server["volumeMounts"]], spec["volumes"]

    environment, mounts, volumes = pod(site_of(redis=True))
    assert environment == {
        "ORITA_ONLINE__REDIS__URL": "redis://redis:6379/0",
        "ORITA_SERVING__JOBS__QUEUE": "redis",
        "ORITA_SERVING__JOBS__REDIS__URL": "redis://redis:6379/0",
        "ORITA_SERVING__JOBS__REDIS__PREFIX": "orita",
        "ORITA_SERVING__FEED__CURSOR__KEY_FILE": "/keys/feed-cursor.key",
    }
    assert "/keys" in mounts
    assert {"name": "cursor-key", "secret": {"secretName": "orita-feed-cursor", "defaultMode": 0o440}} in volumes
    own = {
        "jobs": {"queue": "redis", "redis": {"url": "redis://queue:6379/1"}},
        "feed": {"cursor": {"key_file": "/var/lib/orita/keys/mine"}},
    }
    environment, mounts, volumes = pod(site_of(own, redis=True))
    assert environment == {"ORITA_ONLINE__REDIS__URL": "redis://redis:6379/0"}
    assert "/keys" not in mounts and "cursor-key" not in {volume["name"] for volume in volumes}


def test_the_image_has_what_the_configuration_needs() -> None:
    """Optional parts are installed where they are used, and nowhere else."""

    def installed(**serving: Any) -> str:
        (text,) = (file.text for file in render("compose", site_of(serving)) if file.path == "Dockerfile")
        found = re.search(r'python install "(.*?)"', text)
        assert found is not None
        return found[1]

    assert installed() == "."
    assert installed(expose_graphql=True) == ".[graphql]"
    assert installed(jobs={"queue": "redis"}) == installed(cache={"store": "redis"}) == ".[redis]"
    everything = installed(inference_grpc_port=0, jobs={"callbacks": {"hosts": ["hooks.example.org"]}})
    assert everything == ".[client,grpc]"


def test_servers_of_one_machine_are_no_cluster() -> None:
    """Manifests without Redis are refused: each server would have features of its own."""
    with pytest.raises(UserError, match=r"online\.store is 'lmdb'.*set online\.store: redis"):
        render("kubernetes", site_of())


def test_what_was_not_rendered_is_not_replaced(tmp_path: Path) -> None:
    """A file of one's own in the way is refused, and then nothing is written; a rendered one is replaced."""
    files = render("compose", SITES["plain"])
    own = tmp_path / "prometheus" / "prometheus.yaml"
    own.parent.mkdir()
    own.write_text("global: {}\n")
    with pytest.raises(UserError, match="was not rendered by Orita"):
        write(files, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [own]
    own.write_text(f"# {MARK} long ago\n")
    write(files, tmp_path)
    assert differing(files, tmp_path) == []


def _orita(*arguments: str) -> tuple[int, str]:
    import orita.cli.render  # noqa: F401 - registers the command
    from orita.cli.app import app

    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 2, str(result.exception)
    return result.exit_code, result.stdout


def test_the_command(tmp_path: Path) -> None:
    """render prints one stream or writes files; --check tells what differs by its exit code."""
    base = ["--project", str(tmp_path), "--home", str(tmp_path / "home"), "--set", "online.store=redis"]
    code, printed = _orita(*base, "--set", "deployment.policy=least_connections", "render", "nginx")
    assert (code, "least_conn;" in printed) == (0, True)
    assert len(list(yaml.safe_load_all(_orita(*base, "render", "kubernetes")[1]))) == 9
    assert _orita(*base, "render", "compose") == (2, "compose is 10 files: say which folder with --out FOLDER.")
    out = str(tmp_path / "out")
    code, told = _orita(*base, "render", "all", "--out", out, "--json")
    assert code == 0
    assert sorted(json.loads(told)["files"]) == sorted(f.path for f in render("all", SITES["plain"]))
    assert _orita(*base, "render", "all", "--out", out, "--check")[0] == 0
    (tmp_path / "out" / "compose.yaml").write_text("services: {}\n")
    code, told = _orita(*base, "render", "all", "--out", out, "--check", "--json")
    assert (code, json.loads(told)["differing"]) == (1, [f"{out}/compose.yaml"])
    assert not (tmp_path / "home").exists(), "rendering makes no home"
