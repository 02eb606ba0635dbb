"""Checks Kubernetes manifests: check-deploy.sh runs it, in a folder of Python packages of its own.

  check_manifests.py chart FOLDER OUT    helm lint, the values' schema, and one file for each set of values in OUT
  check_manifests.py pods FILE...        what must hold of every pod, and against the schemas of Kubernetes
"""

import pathlib
import sys

import yaml

# The newest, and the oldest that the package with the schemas and the chart have in common.
VERSIONS = ("1.37", "1.25")

# What a chart is rendered with: name -> values, or the words of the error that must come.
CENTRAL = {"mode": "central", "config": {"clusters": [{"name": "a", "endpoints": ["https://a:2379"]}]}}
SETS = {
    "default": {},
    "k3s": {"controlPlane": {"distribution": "k3s"}},
    "rke2": {"controlPlane": {"distribution": "rke2"}},
    "rke2-without-host": {"controlPlane": {"distribution": "rke2", "host": False}},
    "secret": {
        "certificates": {"secretName": "certificates"},
        "controlPlane": {"host": False},
        "priorityClassName": "high",
    },
    "central": {**CENTRAL, "certificates": {"secretName": "certificates"}, "replicas": 2},
    "everything": {
        **CENTRAL,
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "imagePullSecrets": [{"name": "pull"}],
        "podAnnotations": {"a/b": "c"},
        "podLabels": {"a": "b"},
        "nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}],
    },
}
REFUSED = {
    "an unknown key": ({"modus": "central"}, "modus"),
    "an unknown mode": ({"mode": "sidecar"}, "mode"),
    "no cluster": ({"mode": "central"}, "config.clusters"),
    "the host without root": ({"certificates": {"secretName": "a"}}, "controlPlane.host"),
}


def fail(message):
    sys.exit(f"deploy: {message}")


def chart(folder, out):
    import helm_python
    from helm_python.chart import Chart, lint

    loaded = Chart.load(folder)
    for name, values in SETS.items():
        report = lint(folder, loaded.merge_values(values), strict=True)
        # An icon is of use to a catalogue only.
        found = [m for m in report["messages"] if m["severity"] > 1 or "icon" not in m["error"]]
        if found or report["errors"]:
            fail(f"helm lint with the values {name}: {found} {report['errors']}")
        loaded.validate_schema(loaded.merge_values(values))
        files = loaded.render(values, name="etcd-doctor", namespace="etcd-doctor")
        text = "\n---\n".join(text for path, text in sorted(files.items()) if path.endswith(".yaml"))
        pathlib.Path(out, f"helm-{name}.yaml").write_text(text)
    for name, (values, words) in REFUSED.items():
        try:
            loaded.validate_schema(loaded.merge_values(values))
            loaded.render(values, name="etcd-doctor", namespace="etcd-doctor")
        except helm_python.HelmError as error:
            if words not in str(error):
                fail(f"helm with {name}: not a word of {words} in: {error}")
        else:
            fail(f"helm accepts {name}")


def pods(files):
    import kubernetes_validate

    for file in files:
        documents = [d for d in yaml.safe_load_all(pathlib.Path(file).read_text()) if d]
        kinds = [d["kind"] for d in documents]
        if not {"ConfigMap", "Service"} <= set(kinds) or not {"DaemonSet", "Deployment"} & set(kinds):
            fail(f"{file}: only {kinds}")
        for document in documents:
            where = f"{file}: {document['kind']}"
            if document["kind"] == "ServiceMonitor":  # not of Kubernetes itself, which has no schema of it
                if not all(endpoint.get("honorLabels") for endpoint in document["spec"]["endpoints"]):
                    fail(f"{where}: the operator's labels take the place of the series' own")
                continue
            for version in VERSIONS:
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    at = ".".join(map(str, error.path))
                    fail(f"{where}: not as Kubernetes {version} has it, at {at}: {error.message[:300]}")
            if document["kind"] in ("DaemonSet", "Deployment"):
                pod(where, document)


def pod(where, workload):
    spec = workload["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    rights = container["securityContext"]
    must = {
        "no service account": spec["automountServiceAccountToken"] is False,
        "seccomp": spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"},
        "root only with the node's files": spec["securityContext"]["runAsUser"] == 65534
        or any("hostPath" in v and v["hostPath"]["path"].endswith(".key") for v in spec["volumes"]),
        "no way to more": rights["allowPrivilegeEscalation"] is False and "privileged" not in rights,
        "a root that is not written": rights["readOnlyRootFilesystem"] is True,
        "no capability": rights["capabilities"] == {"drop": ["ALL"]},
        "mounts that exist": {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in spec["volumes"]},
        "nothing of the host or of others written": all(
            m.get("readOnly") or m["name"] == "state" for m in container["volumeMounts"]
        ),
        "probes": {"livenessProbe", "readinessProbe"} <= set(container),
        "bounded memory": "memory" in container["resources"]["limits"],
        "a selector of its own pods": workload["spec"]["selector"]["matchLabels"].items()
        <= workload["spec"]["template"]["metadata"]["labels"].items(),
    }
    for what, holds in must.items():
        if not holds:
            fail(f"{where}: {what} does not hold")


def same_configuration(ours, chart_s):
    """The chart's default is the configuration of deploy/kubernetes/control-plane."""
    documents = yaml.safe_load_all(pathlib.Path(chart_s).read_text())
    (config,) = [d["data"]["etcd-doctor.yaml"] for d in documents if d and d["kind"] == "ConfigMap"]
    if yaml.safe_load(config) != yaml.safe_load(pathlib.Path(ours).read_text()):
        fail(f"the chart's configuration is not that of {ours}:\n{config}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["chart", folder, out]:
            chart(folder, out)
            same_configuration("deploy/kubernetes/control-plane/etcd-doctor.yaml", f"{out}/helm-default.yaml")
        case ["pods", *files] if files:
            pods(files)
        case _:
            sys.exit(__doc__)
