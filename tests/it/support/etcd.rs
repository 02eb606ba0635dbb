//! A real etcd cluster on this machine, and the faults that one can do to it.

mod start;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;

use super::{Authority, FullDisk, Identity, Network, Process, SlowDisk, Version, WriteLoad, http, wait_for};

pub use start::Builder;
use start::START_LIMIT;

const ROOT_PASSWORD: &str = "root-secret";

struct Tls {
    authority: Authority,
    server: Identity,
    client: Identity,
    /// Whether the members use it among themselves, too.
    peers: bool,
}

struct Member {
    name: String,
    /// What it runs: an upgrade is done one by one.
    version: Version,
    client_port: u16,
    peer_port: u16,
    metrics_port: u16,
    args: Vec<String>,
    log: PathBuf,
    /// None while it is down.
    process: Option<Process>,
}

/// What a command printed.
#[derive(Debug)]
pub struct Output {
    /// Whether it ended with 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Its standard output, when it succeeded.
    pub fn unwrap(self) -> String {
        assert!(self.success, "the command failed: {}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// A running cluster. Members are named `etcd-0`, `etcd-1`, …, in the order of their index.
pub struct EtcdCluster {
    version: Version,
    // Before `dir`: members end before their data goes.
    members: Vec<Member>,
    tls: Option<Tls>,
    auth: bool,
    /// Between the members, when it is proxied.
    network: Option<Network>,
    dir: TempDir,
    _permit: SemaphorePermit<'static>,
}

impl EtcdCluster {
    /// A cluster of three of this version, in plain text, unless told otherwise.
    pub fn builder(version: Version) -> Builder {
        Builder::new(version)
    }

    /// One client URL a member.
    pub fn endpoints(&self) -> Vec<String> {
        (0..self.members.len()).map(|i| self.endpoint(i)).collect()
    }

    /// The client URL of a member.
    pub fn endpoint(&self, i: usize) -> String {
        format!("{}://127.0.0.1:{}", self.scheme(), self.members[i].client_port)
    }

    /// Where a member serves its `/metrics` in plain text, also with TLS, as kubeadm sets it up.
    pub fn metrics_url(&self, i: usize) -> String {
        format!("http://127.0.0.1:{}/metrics", self.members[i].metrics_port)
    }

    /// `host:port` of that page, as a target for Prometheus.
    pub fn metrics_address(&self, i: usize) -> String {
        format!("127.0.0.1:{}", self.members[i].metrics_port)
    }

    /// The name of a member.
    pub fn name(&self, i: usize) -> &str {
        &self.members[i].name
    }

    /// How many members it was started with.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// A folder that goes with the cluster, for what a test writes.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process id of a running member.
    pub fn pid(&self, i: usize) -> u32 {
        self.process(i).pid()
    }

    /// The authority of the certificates and a client's certificate, of the user root; none in plain text.
    pub fn tls(&self) -> Option<(&Authority, &Identity)> {
        self.tls.as_ref().map(|tls| (&tls.authority, &tls.client))
    }

    /// What a member logged so far.
    pub fn log(&self, i: usize) -> String {
        std::fs::read_to_string(&self.members[i].log).unwrap_or_default()
    }

    /// Ends a member at once, as a power cut would.
    pub fn kill(&mut self, i: usize) {
        if let Some(mut process) = self.members[i].process.take() {
            process.kill();
        }
    }

    /// Ends a member in good order: a leader hands over first.
    pub async fn terminate(&mut self, i: usize) {
        if let Some(mut process) = self.members[i].process.take() {
            process.terminate(START_LIMIT).await;
        }
    }

    /// Suspends a member's process: its connections stay open and nothing answers.
    pub fn pause(&self, i: usize) {
        self.process(i).signal(Signal::STOP);
    }

    /// Lets a suspended member go on.
    pub fn resume(&self, i: usize) {
        self.process(i).signal(Signal::CONT);
    }

    /// Starts a member again that was killed or terminated, on its old data and ports. Waits until it runs, and not
    /// until it serves, which it does not without a quorum.
    pub async fn restart(&mut self, i: usize) {
        self.restart_with(i, &[]).await;
    }

    /// The same with further flags for this start, which replace those of the same name.
    pub async fn restart_with(&mut self, i: usize, flags: &[&str]) {
        self.start_again(i, &[], flags).await;
    }

    /// The same under a program that becomes etcd, such as `prlimit`.
    pub async fn restart_under(&mut self, i: usize, wrapper: &[&str]) {
        self.start_again(i, wrapper, &[]).await;
    }

    /// Ends a member in good order and starts it again with another release.
    pub async fn upgrade(&mut self, i: usize, version: Version) {
        self.terminate(i).await;
        self.members[i].version = version;
        self.restart(i).await;
    }

    /// Starts a member that was killed with further flags, and does not wait for it: it may end at once.
    pub fn launch_with(&mut self, i: usize, flags: &[&str]) {
        let member = &mut self.members[i];
        let mut args = member.args.clone();
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let program = member.version.program("etcd");
        member.process = Some(Process::spawn(&member.name, &program, &args, &member.log));
    }

    /// Starts a member with an empty data directory that was added anew under its old name and peer URL.
    pub async fn rejoin(&mut self, i: usize) {
        self.restart_with(i, &["--initial-cluster-state=existing"]).await;
    }

    /// Ends a member and empties its data directory.
    pub fn wipe(&mut self, i: usize) {
        self.kill(i);
        std::fs::remove_dir_all(self.data_dir(i)).expect("the folder is ours");
    }

    /// Flips a byte of a value in the database of a follower, as a bad disk would, and starts it again. Gives which.
    pub async fn corrupt_follower(&mut self) -> usize {
        const VALUE: &str = "a value that stands in no other place of the database";
        self.etcdctl(&["put", "damaged", VALUE]).await.unwrap();
        let leader = self.leader().await.expect("a healthy cluster has a leader");
        let follower = (leader + 1) % self.len();
        self.terminate(follower).await;
        let file = self.data_dir(follower).join("member/snap/db");
        let mut bytes = std::fs::read(&file).expect("it is ours");
        let mut flipped = 0;
        for at in 0..bytes.len() - VALUE.len() {
            if bytes[at..].starts_with(VALUE.as_bytes()) {
                bytes[at] ^= 1;
                flipped += 1;
            }
        }
        assert!(flipped > 0, "the value is not in the database");
        std::fs::write(&file, bytes).expect("it is ours");
        self.restart(follower).await;
        follower
    }

    fn data_dir(&self, i: usize) -> PathBuf {
        self.dir().join(&self.members[i].name)
    }

    async fn start_again(&mut self, i: usize, wrapper: &[&str], flags: &[&str]) {
        self.kill(i);
        let etcd = self.members[i].version.program("etcd");
        let own = self.members[i].args.iter().cloned();
        let args = own.chain(flags.iter().map(|flag| (*flag).to_owned()));
        let (program, args): (PathBuf, Vec<String>) = match wrapper {
            [] => (etcd, args.collect()),
            [program, options @ ..] => {
                let options = options.iter().map(|option| (*option).to_owned());
                let etcd = etcd.to_string_lossy().into_owned();
                (program.into(), options.chain([etcd]).chain(args).collect())
            }
        };
        let member = &mut self.members[i];
        let metrics = format!("http://127.0.0.1:{}/metrics", member.metrics_port);
        wait_for(
            &format!("{} to start again", member.name),
            START_LIMIT,
            async || {
                // It ends by itself when its port is still taken: start it once more then.
                if member
                    .process
                    .as_mut()
                    .is_none_or(|process| process.exited().is_some())
                {
                    let process = Process::spawn(&member.name, &program, &args, &member.log);
                    if let Some(network) = &self.network {
                        network.runs(i, process.pid());
                    }
                    member.process = Some(process);
                }
                http::get(&metrics).await
            },
        )
        .await;
    }

    /// Slows every flush of a member to disk by `delay`, until the guard is dropped.
    pub async fn slow_disk(&self, i: usize, delay: Duration) -> SlowDisk {
        SlowDisk::on(self.pid(i), delay, &self.dir().join(format!("strace-{i}.log"))).await
    }

    /// Lets every write of a member to its database fail as on a full disk, until the guard is dropped.
    pub async fn full_disk(&self, i: usize) -> FullDisk {
        FullDisk::on(self.pid(i), &self.dir().join(format!("strace-{i}.log"))).await
    }

    /// Makes so many revisions, quickly.
    pub async fn revisions(&self, count: usize) {
        const AT_ONCE: usize = 16;
        let client = WriteLoad::client(self.endpoints(), self.client_options()).await;
        let write = async |lane: usize| {
            let mut kv = client.kv_client();
            for _ in 0..count.div_ceil(AT_ONCE) {
                let key = format!("revision/{lane}");
                kv.put(key, "value", None)
                    .await
                    .expect("a healthy cluster takes it");
            }
        };
        futures::future::join_all((0..AT_ONCE).map(write)).await;
    }

    /// Puts keys through all members until the guard is dropped.
    pub async fn write_load(&self) -> WriteLoad {
        WriteLoad::on(self.endpoints(), self.client_options()).await
    }

    /// The index of the member that says that it leads, if one does now. A paused one says nothing.
    pub async fn leader(&self) -> Option<usize> {
        let ask = self.members.iter().enumerate().map(async |(i, member)| {
            member.process.as_ref()?;
            let url = format!("http://127.0.0.1:{}/metrics", member.metrics_port);
            let page = http::get_with(&url, &[], Duration::from_millis(500)).await.ok()?;
            page.body
                .lines()
                .any(|line| line == "etcd_server_is_leader 1")
                .then_some(i)
        });
        futures::future::join_all(ask).await.into_iter().flatten().next()
    }

    /// Has one member hand the leadership to another.
    pub async fn move_leader(&self, from: usize, to: usize) {
        let id = self.id(to).await;
        self.etcdctl_at(&self.endpoint(from), &["move-leader", &id])
            .await
            .unwrap();
    }

    /// Waits until a member's process ends by itself.
    pub async fn ended(&mut self, i: usize) {
        let member = &mut self.members[i];
        let name = member.name.clone();
        let process = member.process.as_mut().expect("it runs");
        wait_for(&format!("{name} to end"), START_LIMIT * 6, async || {
            process.exited().ok_or("it is still running")
        })
        .await;
        member.process = None;
    }

    /// The id of a member in hex, as it tells itself.
    pub async fn id(&self, i: usize) -> String {
        let answer = self
            .etcdctl_at(&self.endpoint(i), &["endpoint", "status", "-w", "json"])
            .await
            .unwrap();
        let answer: serde_json::Value =
            serde_json::from_str(&answer).expect("etcdctl prints JSON when asked to");
        let id = answer[0]["Status"]["header"]["member_id"].as_u64();
        format!("{:x}", id.expect("an id is a number"))
    }

    /// Where a member's peers reach it.
    pub fn peer_url(&self, i: usize) -> String {
        format!("{}://127.0.0.1:{}", self.peer_scheme(), self.members[i].peer_port)
    }

    /// Waits for a leader other than `old`.
    pub async fn new_leader(&self, old: usize) -> usize {
        wait_for("a new leader", START_LIMIT, async || match self.leader().await {
            Some(leader) if leader != old => Ok(leader),
            Some(_) => Err("the old one still leads"),
            None => Err("no member leads"),
        })
        .await
    }

    /// The network between the members of a cluster that was built with [`Builder::proxied`], to break it.
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("the cluster is built proxied")
    }

    /// Runs etcdctl against all members.
    pub async fn etcdctl(&self, args: &[&str]) -> Output {
        let endpoints = self.endpoints().join(",");
        self.etcdctl_at(&endpoints, args).await
    }

    /// Runs etcdctl against some endpoints.
    pub async fn etcdctl_at(&self, endpoints: &str, args: &[&str]) -> Output {
        let mut command = std::process::Command::new(self.version.program("etcdctl"));
        command.arg(format!("--endpoints={endpoints}")).args(args);
        self.run(command, "").await
    }

    /// Types a command line, as the reader of a remedy would: `etcdctl` is this cluster's, certificates and user come
    /// from the environment.
    pub async fn shell(&self, line: &str) -> Output {
        let mut command = std::process::Command::new("sh");
        // What a command writes goes with the cluster.
        command.args(["-c", line]).current_dir(self.dir());
        self.run(command, line).await
    }

    /// Turns authentication on, for the user root and those added before.
    pub async fn enable_auth(&mut self) {
        self.etcdctl(&["user", "add", &format!("root:{ROOT_PASSWORD}")])
            .await
            .unwrap();
        self.etcdctl(&["user", "grant-role", "root", "root"])
            .await
            .unwrap();
        self.etcdctl(&["auth", "enable"]).await.unwrap();
        self.auth = true;
    }

    /// Adds a user without any role.
    pub async fn add_user(&self, name: &str, password: &str) {
        self.etcdctl(&["user", "add", &format!("{name}:{password}")])
            .await
            .unwrap();
    }

    /// Writes large values until the quota is reached and writes are refused.
    pub async fn fill_quota(&self) {
        let load = WriteLoad::client(self.endpoints(), self.client_options()).await;
        let value = vec![b'x'; 256 * 1024];
        let mut kv = load.kv_client();
        wait_for("NOSPACE", START_LIMIT * 2, async || {
            for key in 0..8 {
                if let Err(e) = kv.put(format!("fill/{key}"), value.clone(), None).await {
                    let e = e.to_string();
                    return if e.contains("space exceeded") {
                        Ok(())
                    } else {
                        Err(e)
                    };
                }
            }
            Err("writes are still accepted".to_owned())
        })
        .await;
    }

    /// Discards all history, and waits until it is gone from the file.
    pub async fn compact(&self) {
        let answer = self.etcdctl(&["get", "none", "--write-out=json"]).await.unwrap();
        let answer: serde_json::Value =
            serde_json::from_str(&answer).expect("etcdctl prints JSON when asked to");
        let revision = answer["header"]["revision"].to_string();
        self.etcdctl(&["compact", "--physical", &revision]).await.unwrap();
    }

    /// Writes values of 512 KiB to so many keys, again and again, until a database has this size in bytes.
    pub async fn fill_to(&self, bytes: i64, keys: usize) {
        let client = WriteLoad::client(self.endpoints(), self.client_options()).await;
        let (mut kv, mut maintenance) = (client.kv_client(), client.maintenance_client());
        // Small ones leave a quarter of the file free between them.
        let value = vec![b'x'; 512 << 10];
        let mut written = 0;
        wait_for("the size", START_LIMIT * 4, async || {
            // One by one, since the size follows a tenth of a second later.
            for _ in 0..2 {
                let key = format!("fill/{}", written % keys);
                kv.put(key, value.clone(), None)
                    .await
                    .map_err(|e| e.to_string())?;
                written += 1;
            }
            match maintenance.status().await.map_err(|e| e.to_string())?.db_size() {
                size if size >= bytes => Ok(()),
                size => Err(format!("{size} bytes")),
            }
        })
        .await;
    }

    /// How a client of the user root connects.
    pub fn client_options(&self) -> etcd_client::ConnectOptions {
        let mut options = etcd_client::ConnectOptions::new()
            .with_connect_timeout(Duration::from_secs(2))
            .with_timeout(Duration::from_secs(10));
        if let Some(tls) = &self.tls {
            let read = |path: &Path| std::fs::read(path).unwrap();
            let identity = etcd_client::Identity::from_pem(read(&tls.client.cert), read(&tls.client.key));
            let ca = etcd_client::Certificate::from_pem(read(tls.authority.ca()));
            options = options.with_tls(
                etcd_client::TlsOptions::new()
                    .ca_certificate(ca)
                    .identity(identity),
            );
        }
        if self.auth {
            options = options.with_user("root", ROOT_PASSWORD);
        }
        options
    }

    async fn run(&self, mut command: std::process::Command, line: &str) -> Output {
        let programs = self.version.program("etcdctl");
        let programs = programs.parent().expect("a file is in a folder").display();
        let path = std::env::var("PATH").unwrap_or_default();
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("ETCDCTL_")) {
            command.env_remove(key);
        }
        command
            .env("PATH", format!("{programs}:{path}"))
            .env("ETCDCTL_API", "3");
        // etcdctl refuses a setting that comes both ways.
        let mut set = |flag: &str, key: &str, value: &str| {
            if !line.contains(flag) {
                command.env(key, value);
            }
        };
        if let Some(tls) = &self.tls {
            set(
                "--cacert",
                "ETCDCTL_CACERT",
                &tls.authority.ca().to_string_lossy(),
            );
            set("--cert", "ETCDCTL_CERT", &tls.client.cert.to_string_lossy());
            set("--key", "ETCDCTL_KEY", &tls.client.key.to_string_lossy());
        }
        if self.auth {
            set("--user", "ETCDCTL_USER", &format!("root:{ROOT_PASSWORD}"));
        }
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("it does not panic");
        let output = output.expect("sh and etcdctl can be started");
        Output {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn process(&self, i: usize) -> &Process {
        let member = &self.members[i];
        member
            .process
            .as_ref()
            .unwrap_or_else(|| panic!("{} is down", member.name))
    }

    fn peer_scheme(&self) -> &'static str {
        match &self.tls {
            Some(tls) if tls.peers => "https",
            _ => "http",
        }
    }

    const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}
