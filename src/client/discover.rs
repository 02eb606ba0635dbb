//! Finding etcd where nobody named an endpoint: on this host, and, where a domain is named, in DNS.

mod places;

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
    /// What to call the cluster beside others of this host; none when it is the only one.
    pub name: Option<String>,
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

/// Looks for etcd on this host: its processes' flags, then kubeadm's manifest, then where k3s, RKE2 and etcdadm keep their
/// settings (where something else was found, only to tell of them), then the default address. `proc` is where `/proc` is, `root` the host's root directory. One for each cluster, at
/// least one.
pub fn local(proc: &Path, root: &Path) -> Vec<Discovery> {
    let (mut servers, mut notes) = (Vec::new(), Vec::new());
    // A `/proc` that cannot be listed has no process for us; whoever reads processes from it says so.
    for process in proc::local_etcds(proc, None).unwrap_or_default() {
        match (Server::from_process(&process), &process.unreadable) {
            (Some(server), _) => servers.push(server),
            (None, Some(error)) => notes.push(format!(
                "the etcd process {} was found, but not its settings: {}; {}, or name it with --endpoints",
                process.pid, error.message, error.fix
            )),
            (None, None) => {}
        }
    }
    if servers.is_empty() {
        servers.extend(Server::from_manifest(root, &mut notes));
    }
    let (told, unread) = places::all(root);
    let placed = told.iter().filter_map(|told| Server::from_place(told, root));
    if servers.is_empty() {
        servers.extend(placed);
        notes.extend(unread);
    } else {
        notes.extend(placed.filter_map(|server| server.besides(&servers)));
    }
    let clusters = clusters(servers);
    let mut found: Vec<Discovery> = clusters.into_iter().map(together).collect();
    match &mut *found {
        [] => {
            notes.push(format!(
                "no endpoint was given and no etcd found on this host; trying {DEFAULT_ENDPOINT}"
            ));
            found.push(Discovery {
                endpoints: vec![DEFAULT_ENDPOINT.into()],
                assumed: true,
                ..Discovery::default()
            });
        }
        [_] => {}
        several => {
            notes.push(format!(
                "{} etcd clusters run on this host; each is called by its first port, a configuration file can name them",
                several.len()
            ));
            name(several);
        }
    }
    found[0].notes.splice(0..0, notes);
    found
}

/// The servers of one cluster as one.
fn together(servers: Vec<Server>) -> Discovery {
    let mut found = Discovery::default();
    for server in servers {
        if found.endpoints.is_empty() {
            found.ca_file = server.ca_file;
            found.cert_file = server.cert_file;
            found.key_file = server.key_file;
        } else if found.ca_file != server.ca_file {
            // One connection has one authority: this member needs a configuration.
            found.notes.push(format!(
                "{} trusts another CA and is left out; a configuration file can name it as a cluster",
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
    found
}

/// Names for several clusters of one host, where ports tell etcds apart: `etcd-2379`.
fn name(clusters: &mut [Discovery]) {
    let mut taken = BTreeSet::new();
    for cluster in clusters {
        let port = cluster
            .endpoints
            .first()
            .and_then(|endpoint| endpoint.rsplit_once(':'));
        let port = port.map_or("", |(_, port)| port.trim_end_matches('/'));
        let mut name = format!("etcd-{port}");
        let mut count = 1;
        while !taken.insert(name.clone()) {
            count += 1;
            name = format!("etcd-{port}-{count}");
        }
        cluster.name = Some(name);
    }
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

    /// In words, that none of those that were found serves what this one does: it may run inside another program, as k3s' does,
    /// or be what is left of one that was taken away.
    fn besides(&self, found: &[Self]) -> Option<String> {
        let served = |endpoint: &String| found.iter().any(|server| server.endpoints.contains(endpoint));
        (!self.endpoints.iter().any(served)).then(|| {
            format!(
                "{} names {}, which is served by none of the etcds found here; a configuration file can name it as a cluster",
                self.origin,
                self.endpoints.join(", ")
            )
        })
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

    /// What is said in `notes` is why a manifest that is there could not be read.
    fn from_manifest(root: &Path, notes: &mut Vec<String>) -> Option<Self> {
        let path = root.join(MANIFEST);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                notes.push(format!(
                    "could not read kubeadm's {}: {error}; run as root, or name etcd with --endpoints, --cacert, --cert and --key",
                    path.display()
                ));
                return None;
            }
            Err(_) => return None,
        };
        let flags = manifest_flags(&text)?;
        let urls: Vec<&str> = flags
            .get("advertise-client-urls")?
            .split(',')
            .map(str::trim)
            .collect();
        let file = |setting: &str| Some(root.join(flags.get(setting)?.trim_start_matches('/')));
        Self::new(path.display().to_string(), &urls, file)
    }

    fn from_place(told: &places::Told, root: &Path) -> Option<Self> {
        let setting = |name| told.settings.get(name).map(String::as_str);
        let urls = setting("advertise-client-urls").or_else(|| setting("listen-client-urls"))?;
        let urls: Vec<&str> = urls.split(',').map(str::trim).collect();
        let file = |name: &str| Some(root.join(told.settings.get(name)?.trim_start_matches('/')));
        Self::new(told.origin.clone(), &urls, file)
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
            let client = |ca_file: &Path| kubeadm_client(ca_file).or_else(|| places::client_of(ca_file));
            let client = server.ca_file.as_deref().and_then(client);
            // etcd's own certificate last: mostly it may be used by a client too.
            let own = || Some((file("cert-file")?, file("key-file")?));
            (server.cert_file, server.key_file) = client.or_else(own).unzip();
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
mod tests;
