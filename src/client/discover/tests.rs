//! What is found on hosts that are folders with a few files.

use std::fs;

use super::*;

const POD: &str = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - command:\n    - etcd\n\
    \x20   - --advertise-client-urls=https://10.0.0.5:2379\n    - --cert-file=/etc/kubernetes/pki/etcd/server.crt\n\
    \x20   - --key-file=/etc/kubernetes/pki/etcd/server.key\n    - --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt\n\
    \x20   - --listen-client-urls=https://127.0.0.1:2379,https://10.0.0.5:2379\n    image: etcd\n";

fn only(mut found: Vec<Discovery>) -> Discovery {
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn process(proc: &Path, pid: u32, arguments: &[&str]) {
    let dir = proc.join(pid.to_string());
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("cmdline"), arguments.join("\0") + "\0").unwrap();
    fs::write(dir.join("environ"), "").unwrap();
}

#[test]
fn finds_local_processes() {
    let host = tempfile::tempdir().unwrap();
    let proc = host.path().join("proc");
    process(
        &proc,
        10,
        &[
            "etcd",
            "--advertise-client-urls",
            "http://127.0.0.1:2379,http://0.0.0.0:22379",
        ],
    );
    process(
        &proc,
        11,
        &["etcd", "--advertise-client-urls=http://127.0.0.1:3379"],
    );
    let found = only(local(&proc, host.path()));
    assert_eq!(
        found.endpoints,
        [
            "http://127.0.0.1:2379",
            "http://127.0.0.1:22379",
            "http://127.0.0.1:3379"
        ]
    );
    assert_eq!((found.ca_file, found.cert_file), (None, None));
    assert!(found.notes[0].contains("the etcd process 10 serves http://127.0.0.1:2379"));
}

#[test]
fn several_clusters_are_all_found_and_called_by_their_ports() {
    let host = tempfile::tempdir().unwrap();
    let proc = host.path().join("proc");
    let tls = |ca: &'static str, url: &'static str| {
        ["etcd", "--trusted-ca-file", ca, "--advertise-client-urls", url]
    };
    process(&proc, 10, &tls("/a/ca.crt", "https://a:2379"));
    process(&proc, 11, &tls("/b/ca.crt", "https://b:2379"));
    process(&proc, 12, &tls("/c/ca.crt", "https://c:22379"));
    let found = local(&proc, host.path());
    let told: Vec<_> = found
        .iter()
        .map(|found| {
            (
                found.name.as_deref().unwrap(),
                &*found.endpoints[0],
                found
                    .ca_file
                    .as_ref()
                    .is_some_and(|file| file.ends_with("ca.crt")),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("etcd-2379", "https://a:2379", true),
            ("etcd-2379-2", "https://b:2379", true),
            ("etcd-22379", "https://c:22379", true),
        ]
    );
    assert!(
        found[0].notes[0].starts_with("3 etcd clusters run on this host"),
        "{found:?}"
    );
}

#[test]
fn the_peers_that_processes_begin_with_tell_clusters_apart() {
    let host = tempfile::tempdir().unwrap();
    let proc = host.path().join("proc");
    let member = |pid, url: &str, peers: &str| {
        let url = format!("--advertise-client-urls=http://{url}:2379");
        process(&proc, pid, &["etcd", &url, "--initial-cluster", peers]);
    };
    member(10, "a", "a=http://a:2380");
    member(11, "c", "c=http://c:2380,a=http://a:2380,b=http://b:2380");
    member(12, "b", "a=http://a:2380,b=http://b:2380");
    process(&proc, 13, &["etcd", "--advertise-client-urls=http://d:2379"]);
    let found = only(local(&proc, host.path()));
    assert_eq!(
        found.endpoints,
        ["http://a:2379", "http://c:2379", "http://b:2379", "http://d:2379"]
    );

    member(9, "x", "a=http://x:2380");
    let found = local(&proc, host.path());
    let endpoints: Vec<_> = found.iter().map(|found| found.endpoints.join(" ")).collect();
    assert_eq!(
        endpoints,
        [
            "http://x:2379 http://d:2379",
            "http://a:2379 http://c:2379 http://b:2379"
        ]
    );
}

#[test]
fn a_member_with_an_authority_of_its_own_is_left_out_and_said() {
    let host = tempfile::tempdir().unwrap();
    let proc = host.path().join("proc");
    for (pid, name) in [(10, "a"), (11, "b")] {
        let ca = format!("--trusted-ca-file=/{name}/ca.crt");
        let url = format!("--advertise-client-urls=https://{name}:2379");
        process(
            &proc,
            pid,
            &["etcd", &ca, &url, "--initial-cluster=a=https://a:2380"],
        );
    }
    let found = only(local(&proc, host.path()));
    assert_eq!(found.endpoints, ["https://a:2379"]);
    assert!(found.notes[1].contains("process 11 trusts another CA"));
}

#[test]
fn finds_kubeadms_manifest_and_its_client_certificate() {
    let host = tempfile::tempdir().unwrap();
    let kubernetes = host.path().join("etc/kubernetes");
    fs::create_dir_all(kubernetes.join("manifests")).unwrap();
    fs::create_dir_all(kubernetes.join("pki/etcd")).unwrap();
    fs::write(kubernetes.join("manifests/etcd.yaml"), POD).unwrap();
    let found = only(local(&host.path().join("proc"), host.path()));
    assert_eq!(found.endpoints, ["https://10.0.0.5:2379"]);
    assert_eq!(found.ca_file, Some(kubernetes.join("pki/etcd/ca.crt")));
    assert_eq!(found.cert_file, Some(kubernetes.join("pki/etcd/server.crt")));

    for file in ["healthcheck-client.crt", "healthcheck-client.key"] {
        fs::write(kubernetes.join("pki/etcd").join(file), "").unwrap();
    }
    let found = only(local(&host.path().join("proc"), host.path()));
    assert_eq!(
        found.cert_file,
        Some(kubernetes.join("pki/etcd/healthcheck-client.crt"))
    );
    assert_eq!(
        found.key_file,
        Some(kubernetes.join("pki/etcd/healthcheck-client.key"))
    );
}

#[test]
fn falls_back_to_the_default_address() {
    let host = tempfile::tempdir().unwrap();
    let found = only(local(&host.path().join("proc"), host.path()));
    assert_eq!(found.endpoints, [DEFAULT_ENDPOINT]);
    assert!(found.assumed && found.notes[0].contains("no etcd found"));
}

#[test]
fn srv_records_are_named_as_etcdctl_names_them() {
    assert_eq!(
        record_name("etcd-client-ssl", "", "example.com"),
        "_etcd-client-ssl._tcp.example.com."
    );
    assert_eq!(
        record_name("etcd-client", "blue", "example.com."),
        "_etcd-client-blue._tcp.example.com."
    );
    assert_eq!(
        endpoint("https", "a.example.com.", 2379),
        "https://a.example.com:2379"
    );
}

/// Files of a host, with these texts.
fn host_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let host = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let file = host.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    host
}

const RANCHER: &str = "advertise-client-urls: https://10.0.0.7:2379\nlisten-client-urls: https://127.0.0.1:2379,https://10.0.0.7:2379\n\
    client-transport-security:\n  cert-file: /var/lib/rancher/NAME/server/tls/etcd/server-client.crt\n  client-cert-auth: true\n  \
    key-file: /var/lib/rancher/NAME/server/tls/etcd/server-client.key\n  trusted-ca-file: /var/lib/rancher/NAME/server/tls/etcd/server-ca.crt\n\
    initial-cluster: a=https://10.0.0.7:2380\nlog-outputs:\n- stderr\n";

#[test]
fn finds_what_k3s_and_rke2_tell_their_etcd() {
    for (distribution, name) in [("k3s", "k3s"), ("rke2", "RKE2")] {
        let folder = format!("var/lib/rancher/{distribution}/server");
        let tls = |file: &str| format!("{folder}/tls/etcd/{file}");
        let (ca, cert, key) = (tls("server-ca.crt"), tls("client.crt"), tls("client.key"));
        let config = format!("{folder}/db/etcd/config");
        let settings = RANCHER.replace("NAME", distribution);
        let host = host_with(&[(&config, &settings), (&ca, ""), (&cert, ""), (&key, "")]);
        let found = only(local(&host.path().join("proc"), host.path()));
        assert_eq!(found.endpoints, ["https://10.0.0.7:2379"]);
        let file = |file: &str| Some(host.path().join(file));
        assert_eq!(
            (found.ca_file, found.cert_file, found.key_file),
            (file(&ca), file(&cert), file(&key))
        );
        assert!(!found.assumed);
        let words = format!(
            "no endpoint was given; {name} ({}) serves",
            host.path().join(&config).display()
        );
        assert!(found.notes[0].starts_with(&words), "{:?}", found.notes);
        assert_eq!(found.notes.len(), 1, "{:?}", found.notes);

        // It makes the certificates also where it keeps its data in something else.
        let without = host_with(&[(&ca, ""), (&cert, ""), (&key, "")]);
        assert!(only(local(&without.path().join("proc"), without.path())).assumed);
    }
}

#[test]
fn a_place_whose_etcd_is_not_among_those_found_is_told_of() {
    let config = "var/lib/rancher/k3s/server/db/etcd/config";
    let host = host_with(&[(config, &RANCHER.replace("NAME", "k3s"))]);
    let proc = host.path().join("proc");
    process(
        &proc,
        10,
        &["etcd", "--advertise-client-urls=http://127.0.0.1:3379"],
    );
    let found = only(local(&proc, host.path()));
    assert_eq!(found.endpoints, ["http://127.0.0.1:3379"]);
    let words = "names https://10.0.0.7:2379, which is served by none of the etcds found here";
    assert!(
        found.notes[0].starts_with("k3s (") && found.notes[0].contains(words),
        "{:?}",
        found.notes
    );

    process(
        &proc,
        10,
        &["etcd", "--advertise-client-urls=https://10.0.0.7:2379"],
    );
    assert_eq!(only(local(&proc, host.path())).notes.len(), 1);
}

#[test]
fn finds_what_etcdadm_tells_its_etcd() {
    let env = "ETCD_NAME=a\n# a comment\nETCD_ADVERTISE_CLIENT_URLS=\"https://10.0.0.8:2379\"\nETCD_TRUSTED_CA_FILE=/etc/etcd/pki/ca.crt\n\
        ETCD_CERT_FILE=/etc/etcd/pki/server.crt\nETCD_KEY_FILE=/etc/etcd/pki/server.key\nETCD_INITIAL_CLUSTER_TOKEN=s3cret\n";
    let host = host_with(&[
        ("etc/etcd/etcd.env", env),
        ("etc/etcd/pki/ca.crt", ""),
        ("etc/etcd/pki/etcdctl-etcd-client.crt", ""),
    ]);
    let found = only(local(&host.path().join("proc"), host.path()));
    assert_eq!(found.endpoints, ["https://10.0.0.8:2379"]);
    let cert = host.path().join("etc/etcd/pki/etcdctl-etcd-client.crt");
    assert_eq!(found.cert_file, Some(cert));
    // One that is missing is told of, with the flag that names another, when the configuration is checked.
    let key = host.path().join("etc/etcd/pki/etcdctl-etcd-client.key");
    assert_eq!(found.key_file, Some(key));
}

#[test]
fn settings_that_cannot_be_understood_are_said() {
    let host = host_with(&[("var/lib/rancher/k3s/server/db/etcd/config", "name: [")]);
    let found = only(local(&host.path().join("proc"), host.path()));
    assert!(found.assumed);
    assert!(
        found.notes[0].starts_with("could not understand the settings of k3s's etcd, ")
            && found.notes[0].contains("--endpoints, --cacert, --cert and --key"),
        "{:?}",
        found.notes
    );
}
