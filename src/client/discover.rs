//! Finding etcd where nobody named an endpoint: on this host, and, where a domain is named, in DNS.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hickory_resolver::proto::rr::RData;

use super::proc;
use super::tls::{Alpn, TlsFiles, TlsSettings};

/// Where kubeadm describes the etcd of a control-plane host.
const MANIFEST: &str = "etc/kubernetes/manifests/etcd.yaml";

/// Client certificates that kubeadm makes beside etcd's own: the one for health checks, and the API server's.
const KUBEADM_CLIENTS: [&str; 2] = ["pki/etcd/healthcheck-client", "pki/apiserver-etcd-client"];

/// What is tried when nothing was found: where etcd listens when it was told nothing.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:2379";

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Discovery {
    /// Endpoints, URLs.
    pub endpoints: Vec<String>,
    /// Whom to trust.
    pub ca_file: Option<PathBuf>,
    /// A client certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Whether nothing was found, and the endpoint is the default one.
    pub assumed: bool,
    /// How it was found, in words.
    pub notes: Vec<String>,
}

/// Looks for etcd on this host: its processes' flags, then kubeadm's manifest, then the default address. `proc` is where
/// `/proc` is, `root` the host's root directory.
///
/// # Errors
/// When there are several clusters, in words that name the endpoints of each.
pub fn local(proc: &Path, root: &Path) -> Result<Discovery, String> {
    let mut servers: Vec<Server> = match proc::local_etcds(proc) {
        Ok(processes) => processes.iter().filter_map(Server::from_process).collect(),
        Err(_) => Vec::new(),
    };
    if servers.is_empty() {
        servers.extend(Server::from_manifest(root));
    }
    let clusters = clusters(servers);
    if clusters.len() > 1 {
        return Err(several(&clusters));
    }
    let mut found = Discovery::default();
    for server in clusters.into_iter().flatten() {
        if found.endpoints.is_empty() {
            found.ca_file = server.ca_file;
            found.cert_file = server.cert_file;
            found.key_file = server.key_file;
        } else if found.ca_file != server.ca_file {
            // One connection has one authority: this member needs a configuration.
            found.notes.push(format!(
                "{} trusts another authority and is left out; a configuration file can name it as a cluster",
                server.origin
            ));
            continue;
        }
        found.notes.push(format!(
            "no endpoint was given; {} serves {}",
            server.origin,
            server.endpoints.join(", ")
        ));
        for endpoint in server.endpoints {
            if !found.endpoints.contains(&endpoint) {
                found.endpoints.push(endpoint);
            }
        }
    }
    if found.endpoints.is_empty() {
        found.assumed = true;
        found.endpoints.push(DEFAULT_ENDPOINT.into());
        found.notes.push(format!(
            "no endpoint was given and no etcd found on this host; trying {DEFAULT_ENDPOINT}"
        ));
    }
    Ok(found)
}

/// Servers of one cluster together, in the order of the first of each.
fn clusters(servers: Vec<Server>) -> Vec<Vec<Server>> {
    // Those that name their peers first: they tell to whom the others may belong.
    let (telling, silent): (Vec<Server>, Vec<Server>) =
        servers.into_iter().partition(|server| !server.peers.is_empty());
    let mut clusters: Vec<Vec<Server>> = Vec::new();
    for server in telling {
        // It may know the peers of two of which neither knows the other's.
        let (own, other): (Vec<_>, Vec<_>) = clusters
            .into_iter()
            .partition(|cluster| cluster.iter().any(|member| member.may_be_with(&server)));
        clusters = other;
        clusters.push(own.into_iter().flatten().chain([server]).collect());
    }
    for server in silent {
        let own = clusters
            .iter_mut()
            .find(|cluster| cluster.iter().all(|member| member.may_be_with(&server)));
        match own {
            Some(cluster) => cluster.push(server),
            None => clusters.push(vec![server]),
        }
    }
    for cluster in &mut clusters {
        cluster.sort_by_key(|server| server.order);
    }
    clusters.sort_by_key(|cluster| cluster.first().map(|server| server.order));
    clusters
}

fn several(clusters: &[Vec<Server>]) -> String {
    let of = |cluster: &Vec<Server>| {
        let endpoints: Vec<&str> = cluster
            .iter()
            .flat_map(|server| &server.endpoints)
            .map(String::as_str)
            .collect();
        let origins: Vec<&str> = cluster.iter().map(|server| &*server.origin).collect();
        format!("{} ({})", endpoints.join(","), origins.join(", "))
    };
    let groups: Vec<String> = clusters.iter().map(of).collect();
    format!(
        "{} etcd clusters run on this host: {}; name the endpoints of one with --endpoints, or each as a cluster in a \
         configuration file",
        clusters.len(),
        groups.join(" and ")
    )
}

/// One etcd server, as its settings tell.
struct Server {
    /// Its place among those that were found.
    order: i32,
    origin: String,
    /// The peers that it was told to begin with; empty when that is not known.
    peers: BTreeSet<String>,
    endpoints: Vec<String>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

impl Server {
    fn from_process(process: &proc::LocalEtcd) -> Option<Self> {
        let urls = match process.advertised_client_urls() {
            urls if urls.is_empty() => process.listen_client_urls(),
            urls => urls,
        };
        // A path that exists here is preferred: the way through `/proc/PID/root` is for root only.
        let file = |setting: &str| {
            let path = PathBuf::from(process.settings.get(setting)?);
            Some(if path.exists() {
                path
            } else {
                process.on_host(&path).unwrap_or(path)
            })
        };
        let mut server = Self::new(format!("the etcd process {}", process.pid), &urls, file)?;
        server.order = process.pid;
        server.peers = initial_peers(&process.dir);
        Some(server)
    }

    /// Whether nothing tells that the two are of different clusters: of peers that are known, one must be common; else
    /// both must trust the same authority.
    fn may_be_with(&self, other: &Self) -> bool {
        if self.peers.is_empty() || other.peers.is_empty() {
            self.ca_file == other.ca_file
        } else {
            !self.peers.is_disjoint(&other.peers)
        }
    }

    fn from_manifest(root: &Path) -> Option<Self> {
        let path = root.join(MANIFEST);
        let flags = manifest_flags(&std::fs::read_to_string(&path).ok()?)?;
        let urls: Vec<&str> = flags
            .get("advertise-client-urls")?
            .split(',')
            .map(str::trim)
            .collect();
        let file = |setting: &str| Some(root.join(flags.get(setting)?.trim_start_matches('/')));
        Self::new(path.display().to_string(), &urls, file)
    }

    fn new(origin: String, urls: &[&str], file: impl Fn(&str) -> Option<PathBuf>) -> Option<Self> {
        let endpoints: Vec<String> = urls.iter().map(|url| reachable(url)).collect();
        let mut server = Self {
            order: 0,
            origin,
            peers: BTreeSet::new(),
            endpoints,
            ca_file: None,
            cert_file: None,
            key_file: None,
        };
        if server.endpoints.is_empty() {
            return None;
        }
        if server
            .endpoints
            .iter()
            .any(|endpoint| endpoint.starts_with("https"))
        {
            server.ca_file = file("trusted-ca-file");
            let kubeadm = server.ca_file.as_deref().and_then(kubeadm_client);
            // etcd's own certificate last: mostly it may be used by a client too.
            let own = || Some((file("cert-file")?, file("key-file")?));
            (server.cert_file, server.key_file) = kubeadm.or_else(own).unzip();
        }
        Some(server)
    }
}

/// The peer URLs in a process's `--initial-cluster`, or in the variable; a file that it reads instead is not looked at.
fn initial_peers(dir: &Path) -> BTreeSet<String> {
    let words = |file: &str| {
        let text = std::fs::read(dir.join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.split('\0').map(str::to_owned).collect::<Vec<_>>()
    };
    let mut list = None;
    for variable in words("environ") {
        if let Some(value) = variable.strip_prefix("ETCD_INITIAL_CLUSTER=") {
            list = Some(value.to_owned());
        }
    }
    let mut arguments = words("cmdline").into_iter();
    while let Some(argument) = arguments.next() {
        match argument.trim_start_matches('-').split_once('=') {
            _ if !argument.starts_with('-') => {}
            Some(("initial-cluster", value)) => list = Some(value.to_owned()),
            None if argument.trim_start_matches('-') == "initial-cluster" => list = arguments.next().or(list),
            _ => {}
        }
    }
    let list = list.unwrap_or_default();
    list.split(',')
        .filter_map(|member| Some(member.trim().split_once('=')?.1.to_owned()))
        .collect()
}

/// An address that means "every interface" is none to connect to.
fn reachable(url: &str) -> String {
    url.replacen("://0.0.0.0:", "://127.0.0.1:", 1)
        .replacen("://[::]:", "://[::1]:", 1)
}

/// kubeadm's client certificate, when the authority is `…/pki/etcd/ca.crt` and the certificate lies where kubeadm puts it.
fn kubeadm_client(ca_file: &Path) -> Option<(PathBuf, PathBuf)> {
    let base = ca_file.parent()?.parent()?.parent()?;
    KUBEADM_CLIENTS.into_iter().find_map(|name| {
        let (cert, key) = (base.join(format!("{name}.crt")), base.join(format!("{name}.key")));
        (cert.exists() && key.exists()).then_some((cert, key))
    })
}

/// The flags of etcd in a pod's manifest: the words `--name=value` of its container's command.
fn manifest_flags(yaml: &str) -> Option<BTreeMap<String, String>> {
    let pod: serde_json::Value = serde_saphyr::from_str(yaml).ok()?;
    let containers = pod.pointer("/spec/containers")?.as_array()?;
    let words = containers
        .iter()
        .flat_map(|container| ["command", "args"].map(|key| container.get(key)));
    let words = words
        .flatten()
        .filter_map(|words| words.as_array())
        .flatten()
        .filter_map(|word| word.as_str());
    Some(
        words
            .filter_map(|word| word.strip_prefix("--")?.split_once('='))
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
    )
}

/// Whether certificate files can be used, as a connection would use them. Asks nobody.
///
/// # Errors
/// When they cannot, in words with what to do.
pub fn usable(tls: &TlsSettings) -> Result<(), String> {
    if *tls == TlsSettings::default() {
        return Ok(());
    }
    let config = TlsFiles::new(tls.clone()).config(Alpn::Http2);
    config
        .map(|_| ())
        .map_err(|error| format!("{}; {}", error.message, error.fix))
}

/// Looks for the SRV records of etcd's clients in a domain, as etcdctl's `--discovery-srv` does. `service` is
/// `--discovery-srv-name`, may be empty.
///
/// # Errors
/// When neither kind of record was found, in words.
pub async fn srv(domain: &str, service: &str) -> Result<Vec<String>, String> {
    let resolver = hickory_resolver::Resolver::builder_tokio()
        .and_then(|builder| builder.build())
        .map_err(|error| format!("could not read the resolver's configuration: {error}"))?;
    let (mut endpoints, mut failures) = (Vec::new(), Vec::new());
    for (kind, scheme) in [("etcd-client-ssl", "https"), ("etcd-client", "http")] {
        let name = record_name(kind, service, domain);
        match resolver.srv_lookup(name.as_str()).await {
            Ok(lookup) => endpoints.extend(lookup.answers().iter().filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(endpoint(scheme, &srv.target.to_utf8(), srv.port)),
                _ => None,
            })),
            Err(error) if error.is_no_records_found() => failures.push(format!("{name} does not exist")),
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    if endpoints.is_empty() {
        return Err(format!(
            "no SRV record of etcd's clients was found: {}",
            failures.join("; ")
        ));
    }
    Ok(endpoints)
}

/// The name is absolute, so that no search domain is appended.
fn record_name(kind: &str, service: &str, domain: &str) -> String {
    let dash = if service.is_empty() { "" } else { "-" };
    format!("_{kind}{dash}{service}._tcp.{}.", domain.trim_end_matches('.'))
}

fn endpoint(scheme: &str, target: &str, port: u16) -> String {
    format!("{scheme}://{}:{port}", target.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const POD: &str = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - command:\n    - etcd\n\
        \x20   - --advertise-client-urls=https://10.0.0.5:2379\n    - --cert-file=/etc/kubernetes/pki/etcd/server.crt\n\
        \x20   - --key-file=/etc/kubernetes/pki/etcd/server.key\n    - --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt\n\
        \x20   - --listen-client-urls=https://127.0.0.1:2379,https://10.0.0.5:2379\n    image: etcd\n";

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
        let found = local(&proc, host.path()).unwrap();
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
    fn several_clusters_are_told_and_refused() {
        let host = tempfile::tempdir().unwrap();
        let proc = host.path().join("proc");
        let tls = |ca: &'static str, url: &'static str| {
            ["etcd", "--trusted-ca-file", ca, "--advertise-client-urls", url]
        };
        process(&proc, 10, &tls("/a/ca.crt", "https://a:2379"));
        process(&proc, 11, &tls("/b/ca.crt", "https://b:2379"));
        let words = local(&proc, host.path()).unwrap_err();
        assert!(
            words.contains("https://a:2379 (the etcd process 10) and https://b:2379 (the etcd process 11)"),
            "{words}"
        );
        assert!(words.contains("--endpoints"), "{words}");
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
        let found = local(&proc, host.path()).unwrap();
        assert_eq!(
            found.endpoints,
            ["http://a:2379", "http://c:2379", "http://b:2379", "http://d:2379"]
        );

        member(9, "x", "a=http://x:2380");
        let words = local(&proc, host.path()).unwrap_err();
        assert!(
            words.starts_with(
                "2 etcd clusters run on this host: http://x:2379,http://d:2379 (the etcd process 9"
            ),
            "{words}"
        );
        assert!(
            words.contains("and http://a:2379,http://c:2379,http://b:2379 ("),
            "{words}"
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
        let found = local(&proc, host.path()).unwrap();
        assert_eq!(found.endpoints, ["https://a:2379"]);
        assert!(found.notes[1].contains("process 11 trusts another authority"));
    }

    #[test]
    fn finds_kubeadms_manifest_and_its_client_certificate() {
        let host = tempfile::tempdir().unwrap();
        let kubernetes = host.path().join("etc/kubernetes");
        fs::create_dir_all(kubernetes.join("manifests")).unwrap();
        fs::create_dir_all(kubernetes.join("pki/etcd")).unwrap();
        fs::write(kubernetes.join("manifests/etcd.yaml"), POD).unwrap();
        let found = local(&host.path().join("proc"), host.path()).unwrap();
        assert_eq!(found.endpoints, ["https://10.0.0.5:2379"]);
        assert_eq!(found.ca_file, Some(kubernetes.join("pki/etcd/ca.crt")));
        assert_eq!(found.cert_file, Some(kubernetes.join("pki/etcd/server.crt")));

        for file in ["healthcheck-client.crt", "healthcheck-client.key"] {
            fs::write(kubernetes.join("pki/etcd").join(file), "").unwrap();
        }
        let found = local(&host.path().join("proc"), host.path()).unwrap();
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
        let found = local(&host.path().join("proc"), host.path()).unwrap();
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
}
