//! Who is watched and where each is asked: the member list as it is told, and what changes with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::runner::Slot;
use super::view::View;
use super::{Collection, Watched};
use crate::client::etcd::MemberList;
use crate::client::{Endpoint, Link};
use crate::collect::elections::{Elections, Restarts};
use crate::collect::topology::{self, Planned};
use crate::collect::{COLLECTORS, Scope, endpoints, members, quota};
use crate::model::{CollectError, Outcome, Reason, Sample, Verdict, hex_id};

/// How long discovery waits for further member lists once one came: live members answer within a millisecond or few,
/// and a dead one must not delay the first report.
const MORE_LISTS_WITHIN: Duration = Duration::from_millis(200);

/// Who told its member list, by endpoint.
pub(super) type Answers = Vec<(Endpoint, Result<MemberList, CollectError>)>;

impl Collection {
    /// Asks everywhere for the member list. While none is known, the first answer is not kept waiting for the
    /// endpoints that are dead.
    pub(super) async fn ask_for_members(&mut self) -> Answers {
        let hurried = self.listed.is_empty();
        let mut asked = JoinSet::new();
        for link in self.links_in_use() {
            asked.spawn(async move { (link.endpoint().clone(), link.etcd().member_list().await) });
        }
        let mut answers = Vec::new();
        let mut patience = None;
        loop {
            let next = match patience {
                None => asked.join_next().await,
                Some(until) => match tokio::time::timeout_at(until, asked.join_next()).await {
                    Ok(next) => next,
                    Err(_) => return answers,
                },
            };
            match next {
                None => return answers,
                Some(Err(error)) => tracing::error!(%error, "asking for the member list failed"),
                Some(Ok(answer)) => {
                    if hurried && answer.1.is_ok() {
                        patience.get_or_insert(Instant::now() + MORE_LISTS_WITHIN);
                    }
                    answers.push(answer);
                }
            }
        }
    }

    /// One link for each member that has one, and for each configured endpoint that is not among these.
    fn links_in_use(&mut self) -> Vec<Arc<Link>> {
        let mut links: Vec<Arc<Link>> = self
            .watched
            .iter()
            .filter_map(|watched| watched.link.clone())
            .collect();
        for at in 0..self.seeds.len() {
            let endpoint = self.seeds[at].endpoint.clone();
            if !links.iter().any(|link| link.endpoint().same_place(&endpoint)) {
                links.extend(self.link(&endpoint, &[]));
            }
        }
        links
    }

    /// The link to an endpoint, made when there is none yet. `names` are those of the member there.
    fn link(&mut self, endpoint: &Endpoint, names: &[&str]) -> Option<Arc<Link>> {
        let authority = endpoint.authority();
        let keys = names.iter().copied().chain([&**endpoint.as_str(), &authority]);
        let metrics_url = keys.filter_map(|key| self.metrics_urls.get(key)).next().cloned();
        let key = (Arc::clone(endpoint.as_str()), metrics_url.clone());
        if let Some(link) = self.links.get(&key) {
            return Some(Arc::clone(link));
        }
        // The URL was parsed when the collection was made.
        let link = Arc::new(Link::new(&self.network, endpoint.clone(), metrics_url.as_deref()).ok()?);
        self.links.insert(key, Arc::clone(&link));
        Some(link)
    }

    /// Takes over what the answers tell of the membership, for the next cycle.
    pub(super) fn learn(&mut self, answers: &Answers) {
        let mut lists = Vec::new();
        for (endpoint, answer) in answers {
            let seeds = self.seeds.iter_mut();
            for seed in seeds.filter(|seed| seed.endpoint.same_place(endpoint)) {
                seed.failure = answer.as_ref().err().cloned();
                if let Ok(list) = answer {
                    seed.member_id = Some(list.header.member_id);
                    seed.cluster_id = Some(list.header.cluster_id);
                }
            }
            lists.extend(answer.as_ref().ok().cloned());
        }
        if let Some(chosen) = topology::choose(&lists, self.cluster_id, answers.len()) {
            if self
                .cluster_id
                .is_some_and(|known| known != chosen.header.cluster_id)
            {
                self.elections = Elections::default();
                self.restarts = Restarts::default();
                self.quotas = quota::Memory::default();
            }
            self.cluster_id = Some(chosen.header.cluster_id);
            self.listed.clone_from(&chosen.members);
        }
        self.replan();
    }

    /// Lays out who is watched and how, keeping the collectors and links of members that stay.
    pub(super) fn replan(&mut self) {
        let network = self.network.clone();
        let planned = topology::plan(&self.listed, &self.seeds, |url| network.endpoint(url));
        let mut before = std::mem::take(&mut self.watched);
        for Planned {
            mut member,
            candidates,
        } in planned
        {
            let same = before.iter().position(|old| match (old.member.id, member.id) {
                (Some(old), Some(new)) => old == new,
                _ => old
                    .candidates
                    .iter()
                    .any(|old| candidates.iter().any(|new| new.same_place(old))),
            });
            let old = same.map(|at| before.swap_remove(at));
            let at = old
                .as_ref()
                .and_then(|old| old.candidates.get(old.at))
                .and_then(|current| {
                    candidates
                        .iter()
                        .position(|candidate| candidate.same_place(current))
                })
                .unwrap_or(0);
            let hex = member.id.map(hex_id).unwrap_or_default();
            let link = candidates
                .get(at)
                .and_then(|endpoint| self.link(endpoint, &[&*member.name, &*hex]));
            member.endpoint = link.as_ref().map(|link| Arc::clone(link.endpoint().as_str()));
            let collectors = old.map(|old| old.collectors).unwrap_or_else(|| {
                let specs = COLLECTORS.iter().filter(|spec| spec.scope == Scope::Member);
                specs.map(Slot::new).collect()
            });
            self.watched.push(Watched {
                member,
                candidates,
                at,
                link,
                collectors,
            });
        }
        let in_use = self.links_in_use();
        self.links
            .retain(|_, link| in_use.iter().any(|used| Arc::ptr_eq(used, link)));
        if !self.listed.is_empty() {
            let is_member = |id: u64| self.listed.iter().any(|member| member.id == id);
            self.elections.retain(is_member);
            self.restarts.retain(is_member);
            self.progress.retain(is_member);
            self.quotas.retain(is_member);
        }
    }

    /// Whose cluster and member answered at each endpoint. Judged by the list that is believed now, so that a member
    /// that was added or removed meanwhile is not taken for a stranger.
    pub(super) fn who_answered(&self, answers: &Answers) -> Vec<Sample> {
        let lists: Vec<MemberList> = answers
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().ok().cloned())
            .collect();
        let chosen = topology::choose(&lists, self.cluster_id, answers.len());
        let Some(cluster_id) = chosen.map(|list| list.header.cluster_id).or(self.cluster_id) else {
            return Vec::new();
        };
        let listed = chosen.map_or(&self.listed, |list| &list.members);
        let told = answers
            .iter()
            .filter_map(|(endpoint, answer)| Some((endpoint, answer.as_ref().ok()?)));
        let owner = |endpoint: &Endpoint| {
            let at = |watched: &&Watched| watched.candidates.iter().any(|other| other.same_place(endpoint));
            let owner = self
                .watched
                .iter()
                .find(at)
                .filter(|watched| watched.member.id.is_some());
            owner.map(|watched| &*watched.member.name)
        };
        let named = |id: u64| {
            let watched = self.watched.iter().find(|watched| watched.member.id == Some(id));
            watched.map(|watched| &*watched.member.name)
        };
        endpoints::samples(told, cluster_id, listed, owner, named)
    }

    /// The outcomes of configured endpoints that lead to no member.
    pub(super) fn strays(&self) -> Vec<Outcome> {
        let watched = |endpoint: &Endpoint| {
            let mut candidates = self.watched.iter().flat_map(|watched| &watched.candidates);
            candidates.any(|candidate| candidate.same_place(endpoint))
        };
        let strays = topology::strays(&self.listed, self.cluster_id, &self.seeds, watched);
        let outcome = |(authority, error): (String, CollectError)| Outcome {
            collector: members::NAME,
            member: Some(authority.into()),
            duration: Duration::ZERO,
            verdict: Verdict::Failed(error),
        };
        strays.into_iter().map(outcome).collect()
    }

    /// A member that did not answer where it was asked is asked at its next address the next time.
    pub(super) fn try_elsewhere(&mut self, views: &[View]) {
        for (watched, view) in self.watched.iter_mut().zip(views) {
            if !view.answered && watched.candidates.len() > 1 {
                watched.at = (watched.at + 1) % watched.candidates.len();
            }
        }
    }
}

/// How asking for the member list fared: read when anybody told it, else the most telling failure.
pub(super) fn discovery(answers: &Answers, duration: Duration) -> Outcome {
    let failure = answers
        .iter()
        .filter_map(|(_, answer)| answer.as_ref().err())
        .max_by_key(|error| !matches!(error.reason, Reason::Unreachable | Reason::Timeout));
    let verdict = match failure {
        Some(error) if answers.iter().all(|(_, answer)| answer.is_err()) => Verdict::Failed(error.clone()),
        _ => Verdict::Read,
    };
    Outcome {
        collector: members::NAME,
        member: None,
        duration,
        verdict,
    }
}
