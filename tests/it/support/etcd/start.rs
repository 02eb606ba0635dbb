//! Starting a cluster, and adding members to one that runs.

use tempfile::TempDir;
use tokio::sync::Semaphore;

use std::time::Duration;

use super::{EtcdCluster, Member, Tls};
use crate::support::{Authority, Identity, Network, Process, Version, http, ports, wait_for};

/// How many clusters run at once. Members that starve for CPU lose their leader, and the test with it.
static CLUSTERS: Semaphore = Semaphore::const_new(TURNS as usize);
const TURNS: u32 = 2;

/// A cluster is ready in about a second; this is for a machine that does much else.
pub(super) const START_LIMIT: Duration = Duration::from_secs(30);
/// How often a start is tried again because a port was taken in between.
const START_ATTEMPTS: usize = 5;

/// Makes the certificate that the members show to clients.
type IssueServer = Box<dyn FnOnce(&Authority) -> Identity>;

/// What kind of cluster to start.
pub struct Builder {
    version: Version,
    members: usize,
    flags: Vec<String>,
    server: Option<IssueServer>,
    peers_encrypted: bool,
    proxied: bool,
    /// How many turns it waits for.
    turns: u32,
}

impl Builder {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            members: 3,
            flags: Vec::new(),
            server: None,
            peers_encrypted: false,
            proxied: false,
            turns: 1,
        }
    }

    /// How many members; 3 when not told.
    pub fn members(mut self, members: usize) -> Self {
        self.members = members;
        self
    }

    /// The backend quota in bytes.
    pub fn quota(self, bytes: u64) -> Self {
        self.flag(&format!("--quota-backend-bytes={bytes}"))
    }

    /// A flag for every member. It comes after those that every cluster has, and so may replace one.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Clients need TLS and a certificate from the cluster's authority. Peers go on in plain text.
    pub fn tls(self) -> Self {
        self.tls_showing(|authority| authority.issue("server", &["localhost", "127.0.0.1"]))
    }

    /// The same, with the certificate that the members show as the test wants it.
    pub fn tls_showing(mut self, issue: impl FnOnce(&Authority) -> Identity + 'static) -> Self {
        self.server = Some(Box::new(issue));
        self
    }

    /// TLS for clients as [`Self::tls`] has it, and the same between the members.
    pub fn tls_everywhere(mut self) -> Self {
        self.peers_encrypted = true;
        self.tls()
    }

    /// Members reach each other through [`EtcdCluster::network`], where links can be broken.
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// A small second cluster of a test that has one already, and so must not wait for its turn: two such tests would
    /// wait for each other.
    pub fn beside(mut self, _: &EtcdCluster) -> Self {
        self.turns = 0;
        self
    }

    /// No other cluster runs meanwhile: for a test that judges how quick things are, or that counts elections, which a
    /// member short of CPU brings about by itself.
    pub fn alone(mut self) -> Self {
        self.turns = TURNS;
        self
    }

    /// Starts the cluster and waits until every member serves.
    pub async fn start(self) -> EtcdCluster {
        let permit = CLUSTERS
            .acquire_many(self.turns)
            .await
            .expect("it is never closed");
        let dir = tempfile::tempdir().unwrap();
        let tls = self
            .server
            .map(|issue| certificates(&dir, issue, self.peers_encrypted));
        let mut cluster = EtcdCluster {
            version: self.version,
            members: Vec::new(),
            tls,
            auth: false,
            network: None,
            dir,
            _permit: permit,
        };
        for _ in 0..START_ATTEMPTS {
            cluster.network = self.proxied.then(Network::new);
            match cluster.launch(self.members, &self.flags).await {
                Ok(()) => return cluster,
                Err(PortTaken) => cluster.members.clear(),
            }
        }
        panic!("{START_ATTEMPTS} times in a row, another program took a port that was free just before");
    }
}

fn certificates(dir: &TempDir, issue: IssueServer, peers: bool) -> Tls {
    let authority = Authority::new(dir.path(), "ca");
    let server = issue(&authority);
    let client = authority.issue("root", &[]);
    Tls {
        authority,
        server,
        client,
        peers,
    }
}

struct PortTaken;

/// A member that was added to the membership and does not run yet.
pub struct Added {
    /// Its id in hex, as etcdctl and labels write it.
    pub id: String,
    ports: Ports,
}

/// Where a member listens.
struct Ports {
    client: u16,
    peer: u16,
    metrics: u16,
    /// Where its peers reach it: `peer`, or the proxy before it.
    advertised: u16,
}

impl EtcdCluster {
    /// Adds a member with a vote, or without one, that does not run yet.
    pub async fn add_member(&self, learner: bool) -> Added {
        let ports = self.ports(&ports::free(3));
        let peer_url = format!(
            "--peer-urls={}://127.0.0.1:{}",
            self.peer_scheme(),
            ports.advertised
        );
        let mut args = vec!["member", "add", "added", &peer_url, "-w", "json"];
        if learner {
            args.push("--learner");
        }
        let answer = self.change_members(&self.endpoints(), &args).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let id = answer["member"]["ID"].as_u64().expect("an id is a number");
        Added {
            id: format!("{id:x}"),
            ports,
        }
    }

    /// Gives a learner a vote, once it has caught up.
    pub async fn promote(&self, id: &str) {
        self.change_members(&self.endpoints()[..1], &["member", "promote", id])
            .await;
    }

    /// Removes a member by its id in hex. Its process then ends by itself.
    pub async fn remove_member(&self, i: usize, id: &str) {
        let mut others = self.endpoints();
        others.remove(i);
        self.change_members(&others, &["member", "remove", id]).await;
    }

    /// A cluster that has just started wants a few seconds of stable leadership before it changes its members.
    async fn change_members(&self, endpoints: &[String], args: &[&str]) -> String {
        wait_for("the membership to change", START_LIMIT, async || {
            let output = self.etcdctl_at(&endpoints.join(","), args).await;
            if output.success {
                Ok(output.stdout)
            } else {
                Err(output.stderr)
            }
        })
        .await
    }

    /// Starts a member that was added, and waits until it runs. It gets the next index.
    pub async fn start_added(&mut self, added: Added) {
        let name = format!("etcd-{}", self.members.len());
        let mut peers: Vec<_> = self
            .members
            .iter()
            .map(|member| self.peer(&member.name, member.peer_port))
            .collect();
        peers.push(self.peer(&name, added.ports.advertised));
        self.spawn(&name, &added.ports, &peers.join(","), "existing", &[]);
        let i = self.members.len() - 1;
        wait_for(&format!("{name} to run"), START_LIMIT, async || {
            http::get(&self.metrics_url(i)).await
        })
        .await;
    }

    /// One attempt to start all members on new ports.
    async fn launch(&mut self, members: usize, flags: &[String]) -> Result<(), PortTaken> {
        let ports = ports::free(3 * members);
        let ports: Vec<_> = ports.chunks(3).map(|ports| self.ports(ports)).collect();
        let names: Vec<_> = (0..members).map(|i| format!("etcd-{i}")).collect();
        let peers = names
            .iter()
            .zip(&ports)
            .map(|(name, ports)| self.peer(name, ports.advertised));
        let peers = peers.collect::<Vec<_>>().join(",");
        for (name, ports) in names.iter().zip(&ports) {
            let _ = std::fs::remove_dir_all(self.dir.path().join(name));
            self.spawn(name, ports, &peers, "new", flags);
        }
        for i in 0..members {
            let health = format!("http://127.0.0.1:{}/health", self.members[i].metrics_port);
            let name = self.members[i].name.clone();
            let process = self.members[i].process.as_mut().expect("just started");
            wait_for(&format!("{name} to be healthy"), START_LIMIT, async || {
                if process.exited().is_some() {
                    let log = process.log();
                    assert!(
                        log.contains("address already in use"),
                        "{name} ended at its start: {log}"
                    );
                    return Ok(Err(PortTaken));
                }
                match http::get(&health).await {
                    Ok(answer) if answer.status == 200 => Ok(Ok(())),
                    Ok(answer) => Err(answer.body),
                    Err(e) => Err(e),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// What the next member does with three free ports. With a proxy it has joined the network then.
    fn ports(&self, free: &[u16]) -> Ports {
        let peer = free[1];
        Ports {
            client: free[0],
            peer,
            metrics: free[2],
            advertised: self.network.as_ref().map_or(peer, |network| network.join(peer)),
        }
    }

    /// Starts one more process.
    fn spawn(&mut self, name: &str, ports: &Ports, peers: &str, state: &str, flags: &[String]) {
        let data = self.dir.path().join(name);
        let client = format!("{}://127.0.0.1:{}", self.scheme(), ports.client);
        let peer_scheme = self.peer_scheme();
        let mut args = vec![
            format!("--name={name}"),
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer_scheme}://127.0.0.1:{}", ports.peer),
            format!(
                "--initial-advertise-peer-urls={peer_scheme}://127.0.0.1:{}",
                ports.advertised
            ),
            format!("--listen-metrics-urls=http://127.0.0.1:{}", ports.metrics),
            format!("--initial-cluster={peers}"),
            format!("--initial-cluster-state={state}"),
            "--logger=zap".to_owned(),
        ];
        if let Some(tls) = &self.tls {
            args.extend([
                format!("--cert-file={}", tls.server.cert.display()),
                format!("--key-file={}", tls.server.key.display()),
                format!("--trusted-ca-file={}", tls.authority.ca().display()),
                "--client-cert-auth".to_owned(),
            ]);
            if tls.peers {
                args.extend([
                    format!("--peer-cert-file={}", tls.server.cert.display()),
                    format!("--peer-key-file={}", tls.server.key.display()),
                    format!("--peer-trusted-ca-file={}", tls.authority.ca().display()),
                    "--peer-client-cert-auth".to_owned(),
                ]);
            }
        }
        args.extend_from_slice(flags);
        let log = self.dir.path().join(format!("{name}.log"));
        let process = Process::spawn(name, &self.version.program("etcd"), &args, &log);
        if let Some(network) = &self.network {
            network.runs(self.members.len(), process.pid());
        }
        self.members.push(Member {
            name: name.to_owned(),
            version: self.version,
            client_port: ports.client,
            peer_port: ports.advertised,
            metrics_port: ports.metrics,
            args,
            log,
            process: Some(process),
        });
    }

    fn peer(&self, name: &str, port: u16) -> String {
        format!("{name}={}://127.0.0.1:{port}", self.peer_scheme())
    }
}
