//! One cluster's observation over time: what is known of its members between cycles, and the cycle itself.

mod assembly;
mod membership;
mod runner;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use super::elections::{Elections, Restarts};
use super::hearing::Hearing;
use super::progress::Progress;
use super::topology::Seed;
use super::{COLLECTORS, Member, Scope, Settings, Subject, local, quota};
use crate::client::etcd::Listed;
use crate::client::{Connection, Endpoint, Link, Network};
use crate::model::{Batch, Timestamp};
use runner::{Run, Running, Slot};

pub(super) use runner::DESCS;

/// One cluster, watched from cycle to cycle.
pub struct Collection {
    cluster: Arc<str>,
    settings: Settings,
    network: Network,
    metrics_urls: HashMap<String, String>,
    seeds: Vec<Seed>,
    cluster_id: Option<u64>,
    /// The last member list; empty until one came.
    listed: Vec<Listed>,
    watched: Vec<Watched>,
    hosts: Vec<Slot>,
    processes: local::Processes,
    links: HashMap<(Arc<str>, Option<String>), Arc<Link>>,
    /// Where the alarms are asked for beside the collectors, since Status was refused everywhere the last time.
    tell_health: Vec<Arc<Link>>,
    elections: Elections,
    restarts: Restarts,
    hearing: Hearing,
    progress: Progress,
    quotas: quota::Memory,
    last_success: HashMap<(&'static str, Option<Arc<str>>), Timestamp>,
}

/// A member, its link and its collectors.
struct Watched {
    member: Member,
    candidates: Vec<Endpoint>,
    /// Which candidate is in use.
    at: usize,
    link: Option<Arc<Link>>,
    collectors: Vec<Slot>,
}

impl Collection {
    /// Prepares to watch a cluster. Connects to nothing yet.
    ///
    /// # Errors
    /// In words, when an endpoint or a metrics URL is none, or no endpoint is given.
    pub fn new(cluster: &str, connection: &Connection, settings: Settings) -> Result<Self, String> {
        let network = Network::new(connection, settings.timeout);
        let mut seeds: Vec<Seed> = Vec::new();
        for text in &connection.endpoints {
            let endpoint = network.endpoint(text)?;
            if !seeds.iter().any(|seed| seed.endpoint.same_place(&endpoint)) {
                seeds.push(Seed {
                    endpoint,
                    member_id: None,
                    cluster_id: None,
                    failure: None,
                });
            }
        }
        if seeds.is_empty() {
            return Err(format!("cluster {cluster:?} has no endpoints"));
        }
        for url in connection.metrics_urls.values() {
            network.endpoint(url)?;
        }
        let hosts = COLLECTORS
            .iter()
            .filter(|spec| matches!(spec.scope, Scope::Own | Scope::Host));
        let mut collection = Self {
            cluster: cluster.into(),
            network,
            metrics_urls: connection.metrics_urls.clone().into_iter().collect(),
            seeds,
            cluster_id: None,
            listed: Vec::new(),
            watched: Vec::new(),
            hosts: hosts.map(Slot::new).collect(),
            processes: local::Processes::default(),
            links: HashMap::new(),
            tell_health: Vec::new(),
            elections: Elections::default(),
            restarts: Restarts::default(),
            hearing: Hearing::default(),
            progress: Progress::default(),
            quotas: quota::Memory::default(),
            last_success: HashMap::new(),
            settings,
        };
        collection.replan();
        Ok(collection)
    }

    /// Changes which metrics of the members' own pages go into the batch, as after a reload of the rules.
    pub fn keep_page_metrics(&mut self, names: Option<Arc<BTreeSet<String>>>) {
        self.settings.page_metrics = names;
        let slots = self
            .watched
            .iter_mut()
            .flat_map(|watched| &mut watched.collectors);
        for slot in slots.filter(|slot| slot.spec.name == super::metrics::SPEC.name) {
            // It has no state but its settings: the next run builds it anew.
            slot.collector = None;
        }
    }

    /// Observes the cluster once. Takes about one deadline at most, whatever the members do; one more while it is not
    /// known yet who the members are, and one more the first time that all of them refuse Status.
    pub async fn cycle(&mut self, now: Timestamp) -> Batch {
        let mut running = self.start(now);
        let health = self.ask_for_health();
        let asked = Instant::now();
        let answers = self.ask_for_members().await;
        let took = asked.elapsed();
        if self.listed.is_empty() && answers.iter().any(|(_, answer)| answer.is_ok()) {
            // Only now it is known who the members are: what was begun for the configured endpoints is begun anew.
            drop(running);
            self.learn(&answers);
            running = self.start(now);
        }
        let runs = self.finish(running).await;
        let who = self.who_answered(&answers);
        let batch = self
            .assemble(now, runs, health, membership::discovery(&answers, took), who)
            .await;
        self.learn(&answers);
        batch
    }

    /// Sets every collector going, each in its own task, so that none can delay or break another.
    fn start(&mut self, now: Timestamp) -> Running {
        let members: Arc<[Member]> = self
            .watched
            .iter()
            .map(|watched| watched.member.clone())
            .collect();
        self.processes = self.processes.next_cycle();
        let begun = Instant::now();
        let subject = |watched: Option<&Watched>| Subject {
            now,
            begun,
            timeout: self.settings.timeout,
            member: watched.map(|watched| watched.member.clone()),
            members: Arc::clone(&members),
            link: watched.and_then(|watched| watched.link.clone()),
            cluster_id: self.cluster_id,
            processes: self.processes.clone(),
            network: Some(self.network.clone()),
        };
        let mut running = Running::default();
        for (at, watched) in self.watched.iter_mut().enumerate() {
            let subject = subject(Some(watched));
            for slot in &mut watched.collectors {
                running.begin(slot, Some(at), subject.clone(), &self.settings);
            }
        }
        let subject = subject(None);
        for slot in &mut self.hosts {
            running.begin(slot, None, subject.clone(), &self.settings);
        }
        running
    }

    /// Waits for every collector, and puts each back in its place.
    async fn finish(&mut self, mut running: Running) -> Vec<Run> {
        let mut runs = Vec::new();
        while let Some(mut run) = running.next().await {
            let slots = match run.member {
                Some(at) => self.watched.get_mut(at).map(|watched| &mut watched.collectors),
                None => Some(&mut self.hosts),
            };
            let slot = slots.and_then(|slots| slots.iter_mut().find(|slot| slot.spec.name == run.spec.name));
            if let Some(slot) = slot {
                slot.collector = run.collector.take();
            }
            runs.push(run);
        }
        runs
    }
}
