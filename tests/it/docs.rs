//! Documentation that is generated from the program, or must fit it.

mod diagnosis;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use etcd_doctor::collect::{COLLECTORS, DERIVATIONS, Scope};
use etcd_doctor::model::{Desc, Kind};
use etcd_doctor::rules::builtin;
use etcd_doctor::{cycle, http, notify, rules};

const METRICS_HEAD: &str = "\
# Metrics

<!-- Generated from the program. To write it anew: UPDATE_DOCS=1 cargo test --test it docs -->

What `GET /metrics` gives, by the collector that reads it. The shipped rules, the dashboards and the diagnosis use
nothing else: what they see is what you see.

- `cluster` is the cluster's name in the configuration, `member` the member's name as etcd has it.
- A series whose subject could not be read in a cycle is absent from that cycle on, never old. Then
  `etcd_doctor_collector_success` of that collector is 0, and the coverage of the diagnosis says why and what to do.
- A member that left the cluster leaves no series. One that does not answer keeps those that others tell of it, such as
  `etcd_doctor_member_reachable`.
- The collectors `disk`, `filesystem`, `pressure`, `process`, `process_io`, `scheduling`, `cgroup`, `memory`,
  `certificate_files` and `logs` read the host that etcd-doctor runs on. Where no member runs there, they have no series, and that is no failure.
- Counters begin at 0 with etcd-doctor, unless they are read from somewhere: then with what they are read from.
- Histograms have the usual `_bucket`, `_sum` and `_count`. Sums of histograms and of counters are for `rate` and
  `increase`.
";

/// What stands above a section's table.
const SECTIONS: &[(&str, &str)] = &[
    ("status", "From each member's answer to `Maintenance.Status`."),
    (
        "probe",
        "From two reads of each member: a linearizable one needs a quorum, a serializable one only the member.",
    ),
    (
        "metrics",
        "Passed on from each member's own `/metrics`, as far as its version has them.",
    ),
    (
        "disk",
        "From the kernel of this host, for members that run on it: the block devices under their data.",
    ),
    (
        "filesystem",
        "From the kernel of this host, for members that run on it: the file systems under their data.",
    ),
    (
        "pressure",
        "From the kernel of this host, when a member runs on it.",
    ),
    (
        "process",
        "From the kernel of this host, for members that run on it: their processes.",
    ),
    (
        "process_io",
        "From the kernel of this host, for members that run on it, where etcd-doctor may look into their processes: not with \
         `host: limited`.",
    ),
    (
        "scheduling",
        "From the kernel of this host, for members that run on it: their processes' threads.",
    ),
    (
        "cgroup",
        "From the kernel of this host, for members that run on it: the control groups of their processes, of either \
         version.",
    ),
    (
        "memory",
        "From the kernel of this host, when a member runs on it.",
    ),
    (
        "certificates",
        "From the TLS handshakes of etcd-doctor's connections to each member that serves TLS. Connections are kept, and etcd \
         shows a renewed certificate only to new ones: so one that only asks for `/version` is made once an hour, and once \
         a minute in the last third of a certificate's life, and before it has begun.",
    ),
    (
        "backups",
        "From the files in the folders that `clusters[].backups` names, read in the background.",
    ),
    (
        "logs",
        "From the logs of members that run on this host: a file, a container's log or the journal. Only counts, never a text.",
    ),
    (
        "peers",
        "From each member's peer port, where `peer_ports` is set.",
    ),
    (
        "hashkv",
        "From `Maintenance.HashKV` of all members at one revision, where `hashkv_interval` is set.",
    ),
    ("runner", "From running the collectors themselves."),
    (
        "members",
        "Worked out from `Cluster.MemberList` and who answered.",
    ),
    ("addresses", "Worked out from the URLs in `Cluster.MemberList`."),
    (
        "endpoints",
        "Worked out from the cluster and member ids in each answer to `Cluster.MemberList`.",
    ),
    (
        "hearing",
        "Worked out from the bytes that the members' own pages count as received from each other.",
    ),
    (
        "progress",
        "Worked out from the members' raft indices over the cycles.",
    ),
    (
        "quota",
        "The quota of each member, from the best place that tells it.",
    ),
    (
        "expiry",
        "From what each member shows in a handshake (source is handshake, use is server), from the files that the flags of \
         members on this host name (source is file; use is server, peer, client_ca, peer_ca, gateway for `--client-cert-file`, \
         peer_client for `--peer-client-cert-file`), and from etcd-doctor's own files for the cluster (source is own, without a \
         member; use is client for `tls.cert_file`, ca for `tls.ca_file`). What a member shows its peers is seen in its files \
         only, so on its host. Keys are never read.",
    ),
    (
        "settings",
        "What the processes of members on this host run with. The label source is flag, environment, file, default where they \
         were given nothing, or assumed where that is not certain, with `host: limited`.",
    ),
    (
        "alarms",
        "Worked out from what the members' `Maintenance.Status` lists.",
    ),
    (
        "elections",
        "Counted over time from raft terms and the members' own counts, none missed between two cycles.",
    ),
    ("verdict", "From the cycle itself and its diagnosis."),
    (
        "server",
        "From the server of `/metrics` itself. They do not belong to any cluster.",
    ),
    (
        "notifications",
        "From sending alerts to Alertmanager, where `alerting` names some. The names and their meaning are those of Prometheus' \
         own notifier. They do not belong to any cluster; `alertmanager` is the URL that is posted to.",
    ),
];

#[test]
fn metrics_md_lists_every_metric_as_the_program_declares_it() {
    let mut page = METRICS_HEAD.to_owned();
    let mut sections = metrics();
    for (name, about) in SECTIONS {
        let rows = sections
            .remove(name)
            .unwrap_or_else(|| panic!("there is no {name} any more"));
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## {name}\n\n{about}\n\n| metric | kind | unit | labels | what it is |\n|---|---|---|---|---|\n"
        );
        for (desc, labels) in rows {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} | {} |",
                desc.name,
                kind(desc.kind),
                desc.unit.unwrap_or("–"),
                labels.join(", "),
                desc.help.replace('|', "\\|")
            );
        }
    }
    assert!(
        sections.is_empty(),
        "describe these in SECTIONS: {:?}",
        sections.keys()
    );
    must_be("docs/metrics.md", &page);
}

#[test]
fn every_help_is_a_sentence_and_every_name_says_its_unit() {
    for (desc, _) in metrics().into_values().flatten() {
        let name = desc.name;
        assert!(
            desc.help.ends_with('.') && !desc.help.contains("  "),
            "{name}: {}",
            desc.help
        );
        assert!(!desc.help.contains('\n'), "{name}");
        let stem = name.strip_suffix("_total");
        assert_eq!(
            stem.is_some(),
            desc.kind == Kind::Counter,
            "{name} is a {}",
            kind(desc.kind)
        );
        let stem = stem.unwrap_or(name);
        if let Some(unit) = desc.unit {
            assert!(
                stem.ends_with(&format!("_{unit}")),
                "{name} does not end in {unit}"
            );
        } else {
            assert!(
                !stem.ends_with("_seconds") && !stem.ends_with("_bytes"),
                "{name} has no unit"
            );
        }
    }
}

/// Every metric with its label names, by section.
pub(crate) fn metrics() -> BTreeMap<&'static str, Vec<(&'static Desc, Vec<&'static str>)>> {
    let with = |added: &[&'static str], descs: &mut dyn Iterator<Item = &'static Desc>| {
        let rows = descs.map(|desc| {
            let labels = added.iter().chain(desc.labels).copied();
            (desc, labels.collect())
        });
        rows.collect::<Vec<_>>()
    };
    let mut sections = BTreeMap::new();
    for spec in COLLECTORS {
        let added: &[&str] = match spec.scope {
            Scope::Member => &["cluster", "member"],
            Scope::Host | Scope::Own => &["cluster"],
        };
        if !spec.descs.is_empty() {
            sections.insert(spec.name, with(added, &mut spec.descs.iter().copied()));
        }
    }
    for derivation in DERIVATIONS {
        let rows = with(&["cluster"], &mut derivation.descs.iter().copied());
        sections.insert(derivation.name, rows);
    }
    sections.insert("verdict", with(&["cluster"], &mut cycle::DESCS.iter().copied()));
    sections.insert("server", with(&[], &mut http::descs()));
    sections.insert("notifications", with(&[], &mut notify::DESCS.iter().copied()));
    sections
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

#[test]
fn the_shipped_alertmanager_configuration_mutes_what_the_rules_explain() {
    const FILE: &str = "deploy/alertmanager/alertmanager.yaml";
    const GENERATED_BELOW: &str = "so no page is lost to a warning.\n";
    let text = std::fs::read_to_string(root().join(FILE)).unwrap();
    let (head, _) = text
        .split_once(GENERATED_BELOW)
        .expect("the line above what is generated");
    let files = builtin::FILES.iter();
    let groups = files.flat_map(|(file, text)| rules::load(file, text).expect("the shipped rules"));
    let rules = rules::RuleSet::new(groups.collect());
    let section = rules::inhibit::yaml(&rules::inhibit::inhibitions(&rules));
    must_be(FILE, &format!("{head}{GENERATED_BELOW}{section}"));
}

/// Compares a generated file with what is there, or writes it when `UPDATE_DOCS` is set.
pub(crate) fn must_be(path: &str, generated: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, generated).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    // The tests that make it.
    let tests = if path.starts_with("dashboards/") {
        "dashboards"
    } else {
        "docs"
    };
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (there, generated) = (lines(&there), lines(generated));
    let differs = there.iter().zip(&generated).position(|(a, b)| a != b);
    let at = differs.unwrap_or_else(|| there.len().min(generated.len()));
    assert!(
        there == generated,
        "{path} is not what the program says; write it anew with\n\n    UPDATE_DOCS=1 cargo test --test it {tests}\n\nline {}:\n  it is     {:?}\n  should be {:?}",
        at + 1,
        there.get(at),
        generated.get(at)
    );
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_shipped_alert_has_its_runbook() {
    let mut alerts = 0;
    for (file, text) in builtin::FILES {
        let groups = rules::load(file, text).expect("the shipped rules are well formed");
        for (_, _, rule) in rules::RuleSet::new(groups).alerting() {
            alerts += 1;
            let path = format!("docs/runbooks/{}.md", rule.alert);
            assert!(
                rule.annotation("runbook_url").ends_with(&format!("/{path}")),
                "{}: its runbook_url does not end in {path}",
                rule.alert
            );
            let text = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
            assert!(
                text.starts_with(&format!("# {}\n", rule.alert)),
                "{path} is missing, or not titled {}",
                rule.alert
            );
        }
    }
    assert!(alerts > 0);
}

#[test]
fn the_runbooks_in_the_binary_are_those_in_the_folder() {
    let folder = std::fs::read_dir(root().join("docs/runbooks")).unwrap();
    let mut files: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let embedded: Vec<String> = builtin::RUNBOOKS
        .iter()
        .map(|(alert, _)| format!("{alert}.md"))
        .collect();
    assert_eq!(embedded, files, "the list in src/rules/builtin.rs");
    let shipped: String = builtin::FILES.iter().map(|(_, text)| *text).collect();
    for (alert, _) in builtin::RUNBOOKS {
        assert!(
            shipped.contains(&format!("- alert: {alert}\n")),
            "there is no alert {alert}"
        );
    }
}

/// Links between our own documents lead to files that exist.
#[test]
fn links_between_documents_lead_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)#: ]+)(?:#[^)]*)?\)").unwrap();
    let mut documents = vec![
        root().join("README.md"),
        root().join("ARCHITECTURE.md"),
        root().join("CHANGELOG.md"),
    ];
    for folder in ["docs", "docs/runbooks"] {
        documents.extend(
            std::fs::read_dir(root().join(folder))
                .unwrap()
                .map(|entry| entry.unwrap().path()),
        );
    }
    for document in documents
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
    {
        let text = std::fs::read_to_string(document).unwrap_or_default();
        for found in link.captures_iter(&text) {
            let target = document.parent().unwrap_or(Path::new("")).join(&found[1]);
            assert!(
                target.exists(),
                "{}: there is no {}",
                document.display(),
                &found[1]
            );
        }
    }
}

/// What stands above the generated objects.
const OBJECTS_HEAD: &str = "\
# The shipped rules for the Prometheus operator, one object a file of rules/. Generated from them; to write it anew:
# UPDATE_DOCS=1 cargo test --test it docs
#
# Many installations select PrometheusRules by a label, such as release: kube-prometheus-stack: add it to each.
";

const OBJECTS: &str = "deploy/prometheus/kubernetes/prometheusrule.yaml";

/// `kubectl apply` keeps the whole object in an annotation, and annotations are bounded by this.
const OBJECT_LIMIT: usize = 256 << 10;

#[test]
fn the_operators_objects_are_the_rule_files() {
    let mut page = OBJECTS_HEAD.to_owned();
    for (file, text) in builtin::FILES {
        let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
        let _ = write!(
            page,
            "---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: etcd-doctor-{name}\n  \
             labels:\n    app.kubernetes.io/name: etcd-doctor\nspec:\n"
        );
        for line in text.lines() {
            let indent = if line.is_empty() { "" } else { "  " };
            let _ = writeln!(page, "{indent}{line}");
        }
    }
    must_be(OBJECTS, &page);
}

#[test]
fn the_operators_objects_hold_what_the_rule_files_say() {
    let text = std::fs::read_to_string(root().join(OBJECTS)).unwrap();
    let objects: Vec<&str> = text.split("\n---\n").skip(1).collect();
    assert_eq!(objects.len(), builtin::FILES.len());
    for (object, (file, rules)) in objects.iter().zip(builtin::FILES) {
        assert!(object.len() < OBJECT_LIMIT, "{file} has {} bytes", object.len());
        let object: serde_json::Value = serde_saphyr::from_str(object).unwrap();
        let rules: serde_json::Value = serde_saphyr::from_str(rules).unwrap();
        assert_eq!(object["spec"], rules, "{file}");
        let name = object["metadata"]["name"].as_str().unwrap();
        assert!(
            name.bytes()
                .all(|letter| letter.is_ascii_lowercase() || letter == b'-'),
            "{name} is no name of an object"
        );
    }
}
