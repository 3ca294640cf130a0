"""The ways to install it. What cannot be run where tests run is checked by its own schema or tool, and says so."""

from __future__ import annotations

import importlib.resources
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from schemas.subscriptions import secrets_of
from streams.kafka.brokers import _why_not
from streams.kafka.java_broker import kafka_version
from streams.notify.subscription_files import load_subscriptions
from streams.settings import Settings, load_settings
from tests.operations.grafana import DEPLOY
from tests.operations.runbook import option_variables

ROOT = DEPLOY.parent
KUBERNETES = DEPLOY / "kubernetes"
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
JOBS = (("gridclock", "worker", 9464), ("gridclock-notify", "notify", 9466), ("gridclock-sink", "sink", 9468))
IMAGE = re.compile(r"[a-z0-9./\-]+:v?\d+\.\d+\.\d+[a-z0-9.\-]*|postgres:\d+\.\d+")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def settings_variables() -> set[str]:
    return {f"GRIDCLOCK_{name.upper()}" for name in Settings.model_fields} | set(option_variables())


def variables_of(subscriptions: Path) -> set[str]:
    """What a file of subscriptions takes from the environment."""
    channels = load_subscriptions(subscriptions).channels.values()
    return {str(secret.env) for channel in channels for secret in secrets_of(channel).values()}


# -- compose ---------------------------------------------------------------------------------------------

COMPOSE = read(DEPLOY / "compose.yaml")


def test_compose_file_fits_the_specification() -> None:
    schemas = importlib.resources.files("check_jsonschema.builtin_schemas.vendor")
    schema = json.loads(schemas.joinpath("compose-spec.json").read_text("utf-8"))
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_compose_names_what_is_there() -> None:
    services = COMPOSE["services"]
    ours = {"worker", "board", "notify", "receiver", "simulator", "sink"}
    assert set(services) == {"kafka", *ours, "prometheus", "alertmanager", "grafana", "postgres"}
    assert services["sink"]["profiles"] == services["postgres"]["profiles"] == ["results"]
    assert services["worker"]["deploy"]["replicas"] == 2
    told = variables_of(DEPLOY / "subscriptions.centre.yaml")
    assert told < set(services["notify"]["environment"])
    for name, service in services.items():
        if service["image"] != "gridclock":
            assert IMAGE.fullmatch(service["image"]), f"{name}: {service['image']} is not pinned"
        for other in service.get("depends_on", ()):
            assert other in services
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name}: {port} listens to the whole network"
        for volume in service.get("volumes", ()):
            source, _, inside = DEFAULT.sub(r"\1", volume).partition(":")
            if inside:  # else it is anonymous
                assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
        for variable in service.get("environment", ()):
            if variable.startswith("GRIDCLOCK_"):
                assert variable in settings_variables() | told
    assert services["kafka"]["image"] == f"apache/kafka:{kafka_version()}"
    found = {
        job["job_name"]: job["dns_sd_configs"][0]
        for job in read(DEPLOY / "prometheus/prometheus.yml")["scrape_configs"]
        if "dns_sd_configs" in job
    }
    exposed = {name: (service, ports) for name, service, ports in JOBS}
    assert {name: (one["names"][0], one["port"]) for name, one in found.items()} == exposed
    for service, port in exposed.values():
        assert services[service]["expose"] == [str(port)]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY / "grafana/dashboards" / home.removeprefix("/etc/grafana/gridclock/")).is_file()


@pytest.mark.slow
def test_compose_set_up_comes_up() -> None:
    if (reason := _why_not("docker")) is not None:
        pytest.skip(f"compose.yaml was checked against its schema and not run: {reason}")
    done = subprocess.run(
        ["docker", "compose", "--file", str(DEPLOY / "compose.yaml"), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


# -- Dockerfile ------------------------------------------------------------------------------------------


def test_dockerfile_is_pinned_and_does_not_run_as_root() -> None:
    """Plain reading: no linter for it is a package; ``test_dockerfile.py`` runs its steps, and Docker's own check."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text("utf-8").splitlines() if line and line[0] != "#"]
    words = [line.split() for line in lines]
    bases = [line[1] for line in words if line[0] == "FROM"]
    assert len(bases) == 3  # Rust, the build, and what runs
    assert all(IMAGE.fullmatch(base) for base in bases)
    assert [line[1] for line in words if line[0] == "USER"] == ["10001:10001"]
    assert not [line for line in lines if line.startswith("ADD ")]
    variables = set(re.findall(r"\bGRIDCLOCK_\w+", "\n".join(lines)))
    assert variables <= settings_variables()
    (health,) = [json.loads(line.split("CMD", 1)[1]) for line in lines if line.startswith("HEALTHCHECK")]
    assert health == ["gridclock", "health"]
    copied = [source for line in words if line[0] == "COPY" and "--from" not in line[1] for source in line[1:-1]]
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for source in copied:
        assert (ROOT / source).exists()
        assert f"!{source}" in allowed


# -- Kubernetes ------------------------------------------------------------------------------------------


def manifests() -> list[tuple[str, dict[str, Any]]]:
    """Every manifest; of a file with several, ``file#kind``."""
    found = []
    for name in read(KUBERNETES / "kustomization.yaml")["resources"]:
        several = list(yaml.safe_load_all((KUBERNETES / name).read_text("utf-8")))
        found += [(name if number == 0 else f"{name}#{number}", one) for number, one in enumerate(several)]
    return found


@pytest.mark.parametrize("version", ["1.28", "1.34"])
@pytest.mark.parametrize(("name", "manifest"), manifests(), ids=[name for name, _ in manifests()])
def test_manifests_fit_the_schemas_of_kubernetes(name: str, manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_manifests_fit_together() -> None:
    found = dict(manifests())
    stateful = found["statefulset.yaml"]["spec"]
    pod = stateful["template"]["spec"]
    (container,) = pod["containers"]
    labels = stateful["template"]["metadata"]["labels"]
    assert stateful["selector"]["matchLabels"] == labels
    assert found["disruption-budget.yaml"]["spec"]["selector"]["matchLabels"] == labels
    assert found["service.yaml"]["spec"]["selector"] == labels
    assert found["network-policy.yaml"]["spec"]["podSelector"]["matchLabels"] == labels
    assert stateful["serviceName"] == found["service.yaml"]["metadata"]["name"]
    assert pod["serviceAccountName"] == found["serviceaccount.yaml"]["metadata"]["name"]
    assert container["ports"][0]["containerPort"] == Settings.model_fields["metrics_port"].default
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/healthz"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    config, _ = read(KUBERNETES / "kustomization.yaml")["configMapGenerator"]
    assert {literal.split("=")[0] for literal in config["literals"]} <= settings_variables()
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    dockerfile = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert "VOLUME /var/lib/gridclock" in dockerfile
    assert mounts == {"/var/lib/gridclock", "/tmp", "/etc/gridclock/rules"}
    scaled = read(KUBERNETES / "scaling-by-lag/scaled-object.yaml")["spec"]
    assert scaled["scaleTargetRef"]["name"] == found["statefulset.yaml"]["metadata"]["name"]
    partitions = next(one.split("=")[1] for one in config["literals"] if one.startswith("GRIDCLOCK_PARTITIONS"))
    assert scaled["maxReplicaCount"] <= int(partitions)


@pytest.mark.parametrize(("name", "policy"), [("board", "network-policy.yaml#1"), ("notify", "network-policy.yaml#2")])
def test_board_and_notifier_fit_together(name: str, policy: str) -> None:
    found = dict(manifests())
    spec, service = found[f"{name}.yaml"]["spec"], found[f"{name}.yaml#1"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == service["selector"] == labels
    assert found[policy]["spec"]["podSelector"]["matchLabels"] == labels
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    (port,) = container["ports"]
    assert service["ports"][0]["targetPort"] == port["name"]
    assert port["containerPort"] == {"board": Settings.model_fields["board_port"].default, "notify": 9466}[name]
    assert {volume["name"] for volume in pod["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}


def pods_of(manifests: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pods by what their container runs."""
    pods = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] in ("Deployment", "StatefulSet")]
    return {pod["containers"][0]["args"][0]: pod for pod in pods}


def maps_mounted(pod: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Each config map that a pod mounts: where, and whether it may be missing."""
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    maps = [(volume["name"], volume["configMap"]) for volume in pod["volumes"] if "configMap" in volume]
    return {one["name"]: (mounts[name], one.get("optional", False)) for name, one in maps}


def test_whoever_takes_rules_finds_them_where_the_shared_settings_say() -> None:
    line = re.search(
        r"# - GRIDCLOCK_RULES=(\S+)$", (KUBERNETES / "kustomization.yaml").read_text("utf-8"), re.MULTILINE
    )
    assert line
    for name, pod in pods_of(one for _, one in manifests()).items():
        assert f"`{name}`" in option_variables()["GRIDCLOCK_RULES"][1], name
        assert maps_mounted(pod)["gridclock-rules"] == (line.group(1), True), name


def variables_of_services(manifests: Iterable[dict[str, Any]]) -> dict[str, str]:
    """What Kubernetes puts into the environment of every pod of the namespace that does not decline it."""
    found: dict[str, str] = {}
    for one in manifests:
        if one["kind"] == "Service" and one["spec"].get("clusterIP") != "None":
            word, port = one["metadata"]["name"].upper().replace("-", "_"), one["spec"]["ports"][0]["port"]
            found |= {f"{word}_SERVICE_HOST": "10.1.2.3", f"{word}_PORT": f"tcp://10.1.2.3:{port}"}
    return found


def test_no_setting_comes_from_a_service_of_the_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    several = list(yaml.safe_load_all((KUBERNETES / "sink/deployment.yaml").read_text("utf-8")))
    found = [*(one for _, one in manifests()), *several]
    services = variables_of_services(found)
    assert services["GRIDCLOCK_BOARD_PORT"] == "tcp://10.1.2.3:80"  # which is a setting, too
    pods = pods_of(found)
    assert set(pods) == {"run", "board", "notify", "sink"}
    for pod in pods.values():
        with monkeypatch.context() as environment:
            for name, value in services.items() if pod.get("enableServiceLinks", True) else ():
                environment.setenv(name, value)
            assert load_settings().board_port == 9465


def test_the_notifier_reads_the_subscriptions_where_they_are_mounted() -> None:
    pod = pods_of(one for _, one in manifests())["notify"]
    place, optional = maps_mounted(pod)["gridclock-subscriptions"]
    assert not optional
    assert pod["containers"][0]["args"] == ["notify", "--subscriptions", f"{place}/subscriptions.yaml"]
    mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    assert not [(one, other) for one in mounts for other in mounts if other.startswith(f"{one}/")]


def test_the_sink_is_a_component_of_its_own() -> None:
    component = read(KUBERNETES / "sink/kustomization.yaml")
    assert component["resources"] == ["deployment.yaml"]
    several = list(yaml.safe_load_all((KUBERNETES / "sink/deployment.yaml").read_text("utf-8")))
    for one in several:
        kubernetes_validate.validate(one, "1.34", strict=True)
    spec, service, policy = (one["spec"] for one in several)
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == service["selector"] == policy["podSelector"]["matchLabels"] == labels
    (container,) = spec["template"]["spec"]["containers"]
    assert container["args"] == ["sink"]
    assert [port["containerPort"] for port in container["ports"]] == [service["ports"][0]["port"]] == [9468]
    assert "`sink`" not in option_variables()["GRIDCLOCK_RULES"][1]  # else it would need them mounted


def test_subscriptions_shipped_are_sound_and_the_kustomization_makes_its_map_of_them() -> None:
    for path in (DEPLOY / "subscriptions.centre.yaml", KUBERNETES / "subscriptions.yaml"):
        load_subscriptions(path)
    _, config = read(KUBERNETES / "kustomization.yaml")["configMapGenerator"]
    assert config == {"name": "gridclock-subscriptions", "files": ["subscriptions.yaml"]}
    assert config["name"] in maps_mounted(dict(manifests())["notify.yaml"]["spec"]["template"]["spec"])


def test_no_secret_is_in_the_manifests() -> None:
    for path in (*KUBERNETES.rglob("*.yaml"), DEPLOY / "compose.yaml", DEPLOY / "alertmanager.yml"):
        text = path.read_text("utf-8")
        assert not re.search(r"kind: Secret\b|secretGenerator", text), path
        assert not re.search(r"(?i)(password|secret|token)\w*: *[\"']?\w{6,}", _without_comments(text)), path


def _without_comments(text: str) -> str:
    return re.sub(r"#.*", "", text)


def built_from(directory: Path) -> list[dict[str, Any]]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed: the manifests were checked one by one, not put together")
    done = subprocess.run(
        [kubectl, "kustomize", str(directory)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def secrets_read(pod: dict[str, Any]) -> list[str]:
    sources = pod["containers"][0]["envFrom"]
    return [source["secretRef"]["name"] for source in sources if "secretRef" in source]


def board_reaches(built: list[dict[str, Any]]) -> set[int]:
    (policy,) = [
        one for one in built if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "gridclock-board"
    ]
    return {port["port"] for way in policy["spec"]["egress"] for port in way["ports"]}


def test_without_the_sink_the_board_knows_of_no_database() -> None:
    without = built_from(KUBERNETES)
    assert secrets_read(pods_of(without)["board"]) == ["gridclock-kafka"]
    assert board_reaches(without) == {53, 9092, 9093}


def test_with_the_sink_the_board_can_read_its_database(tmp_path: Path) -> None:
    directory = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, directory)
    with (directory / "kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write("components: [sink]\n")
    built = built_from(directory)
    for one in built:
        kubernetes_validate.validate(one, "1.34", strict=True)
    pods = pods_of(built)
    assert "gridclock-database" in secrets_read(pods["sink"])
    # Of two that have a key the last one counts.
    assert secrets_read(pods["board"]) == ["gridclock-kafka", "gridclock-database", "gridclock-board-database"]
    assert pods["board"]["containers"][0]["envFrom"][-1]["secretRef"]["optional"]
    assert board_reaches(built) == {53, 5432, 9092, 9093}
    for name in ("run", "notify"):
        assert not [secret for secret in secrets_read(pods[name]) if "database" in secret]


def test_kustomize_puts_them_together() -> None:
    built = built_from(KUBERNETES)
    assert sorted(one["kind"] for one in built) == [
        "ConfigMap",
        "ConfigMap",
        "Deployment",
        "Deployment",
        "Namespace",
        *["NetworkPolicy"] * 3,
        "PodDisruptionBudget",
        *["Service"] * 3,
        "ServiceAccount",
        "StatefulSet",
    ]
    for one in built:
        kubernetes_validate.validate(one, "1.34", strict=True)
    (stateful,) = [one for one in built if one["kind"] == "StatefulSet"]
    container = stateful["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example.org/gridclock:0.2.0"
    assert re.fullmatch(r"gridclock-[a-z0-9]+", container["envFrom"][0]["configMapRef"]["name"])


# -- systemd ---------------------------------------------------------------------------------------------


UNITS = {"gridclock": "run", "gridclock-board": "board", "gridclock-notify": "notify", "gridclock-sink": "sink"}
WITHOUT_RELOAD = {"gridclock-sink"}  # it reads no file that may change


@pytest.fixture(params=sorted(UNITS))
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit with a program that is there, which is all that is changed."""
    text = (DEPLOY / "systemd" / f"{request.param}.service").read_text("utf-8")
    assert re.search(rf"^ExecStart=/opt/gridclock/bin/gridclock {UNITS[request.param]}\b", text, re.MULTILINE)
    reloads = re.search(r"^ExecReload=/bin/kill -HUP \$MAINPID$", text, re.MULTILINE) is not None
    assert reloads == (request.param not in WITHOUT_RELOAD)
    found = tmp_path / f"{request.param}.service"
    found.write_text(text.replace("/opt/gridclock/bin/gridclock", sys.executable), "utf-8")
    return found


def steps() -> str:
    text = (DEPLOY / "README.md").read_text("utf-8").partition("\n**systemd.**")[2].partition("\n**After installing")[0]
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))


def test_the_steps_install_the_document_that_units_name(unit: Path) -> None:
    (named,) = re.findall(r"^Documentation=file:(\S+)$", unit.read_text("utf-8"), re.MULTILINE)
    assert f"deploy/README.md {named}\n" in steps()


def test_the_steps_give_each_service_its_secrets(tmp_path: Path) -> None:
    loop = steps().partition("for unit in ")
    commands = (loop[1] + loop[2].partition("\ndone")[0] + "\ndone").replace("/etc/systemd", f"{tmp_path}/systemd")
    subprocess.run(["sh", "-euc", commands], cwd=ROOT, check=True, timeout=60)
    copied = {path.parent.name for path in tmp_path.rglob("credentials.conf")}
    assert copied == {f"{name}.service.d" for name in UNITS}
    said = (DEPLOY / "systemd/gridclock.service.d/credentials.conf").read_text("utf-8")
    assert set(re.findall(r"[a-z-]+\.service\.d", said)) == copied


def systemd_analyze(*arguments: str) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd): the unit was not checked")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
    if "unrecognized option" in done.stderr:
        pytest.skip(f"systemd-analyze here is too old for {arguments[0]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_accepts_the_unit(unit: Path) -> None:
    assert systemd_analyze("verify", str(unit)).strip() == ""


def test_the_unit_is_exposed_to_little(unit: Path) -> None:
    systemd_analyze("security", "--offline=true", "--threshold=20", str(unit))
