//! What one cycle brought of one member, and what follows from that alone.

use std::sync::Arc;

use super::Watched;
use crate::collect::elections::Sighting;
use crate::collect::hearing::Received;
use crate::collect::members::Seen;
use crate::collect::{MetricsReading, ProcessReading, StatusReading, alarms};
use crate::model::{CollectError, MemberFacts, Quota};

/// What one cycle brought of one member.
pub(super) struct View {
    pub(super) name: Arc<str>,
    pub(super) status: Option<StatusReading>,
    pub(super) status_error: Option<CollectError>,
    pub(super) metrics: Option<MetricsReading>,
    pub(super) process: Option<ProcessReading>,
    pub(super) answered: bool,
    /// Whether a call of this cycle found nobody there.
    pub(super) silent: bool,
}

impl View {
    pub(super) fn new(watched: &Watched) -> Self {
        Self {
            name: Arc::clone(&watched.member.name),
            status: None,
            status_error: None,
            metrics: None,
            process: None,
            answered: false,
            silent: false,
        }
    }

    /// Its version, as it says itself.
    pub(super) fn version(&self) -> Option<String> {
        let status = self.status.as_ref();
        let page = self.metrics.as_ref();
        status
            .map(|status| status.version.clone())
            .or_else(|| page.and_then(|page| page.version.clone()))
    }

    pub(super) fn seen(&self, watched: &Watched) -> Seen {
        let from_page = self.metrics.as_ref();
        let id = watched.member.id.or_else(|| {
            let told = self.status.as_ref().map(|status| status.member_id);
            told.filter(|id| *id != 0)
                .or_else(|| from_page.and_then(|page| page.member_id))
        });
        let leader_from_page = || {
            let page = from_page?;
            match (page.is_leader, page.has_leader) {
                (Some(true), _) => id,
                (_, Some(false)) => Some(0),
                _ => None,
            }
        };
        Seen {
            name: Arc::clone(&self.name),
            id,
            learner: self
                .status
                .as_ref()
                .map_or(watched.member.learner, |status| status.learner),
            started: watched.member.started,
            reachable: self.answered,
            accepts: watched.link.as_ref().is_some_and(|link| link.etcd().connects()),
            peer_url: watched.member.peer_urls.first().map_or("", |url| url).into(),
            leader: self
                .status
                .as_ref()
                .map(|status| status.leader)
                .or_else(leader_from_page),
            term: self.status.as_ref().map(|status| status.term),
        }
    }

    pub(super) fn sighting(&self, id: Option<u64>) -> Option<Sighting> {
        let page = self.metrics.as_ref();
        Some(Sighting {
            member: id?,
            term: self.status.as_ref().map(|status| status.term),
            leader_changes: page.and_then(|page| page.leader_changes),
            start_time: page
                .and_then(|page| page.start_time)
                .or(self.process.as_ref().and_then(|process| process.start_time)),
        })
    }

    /// The committed raft index, where Status or the page tells it.
    pub(super) fn index(&self) -> Option<u64> {
        let status = self.status.as_ref().map(|status| status.index);
        status.or_else(|| whole(self.metrics.as_ref()?.committed))
    }

    /// What its page tells of what it received from its peers.
    pub(super) fn received(&self, id: Option<u64>) -> Option<Received> {
        let page = self.metrics.as_ref()?;
        Some(Received {
            by: id?,
            start_time: page.start_time,
            from: page.received.clone(),
        })
    }

    pub(super) fn facts(
        &self,
        watched: &Watched,
        seen: &Seen,
        quota: Quota,
        told: &[alarms::Alarm],
    ) -> MemberFacts {
        let status = self.status.as_ref();
        let page = self.metrics.as_ref();
        MemberFacts {
            latency: None,
            name: Arc::clone(&self.name),
            id: seen.id,
            endpoint: watched.member.endpoint.clone(),
            metrics_url: watched
                .link
                .as_ref()
                .and_then(|link| link.scraper().url())
                .map(Arc::from),
            reachable: self.answered,
            unreachable_because: self.why_not(watched),
            started: seen.started,
            leader: seen.id.is_some() && seen.leader == seen.id,
            learner: seen.learner,
            version: self.version(),
            db_size_bytes: status
                .map(|status| status.db_size)
                .or_else(|| whole(page?.db_size)),
            db_in_use_bytes: status
                .map(|status| status.db_in_use)
                .filter(|bytes| *bytes > 0)
                .or_else(|| whole(page?.db_in_use)),
            quota,
            revision: status
                .map(|status| status.revision)
                .or_else(|| whole(page?.revision)),
            raft_index: status.map(|status| status.index),
            raft_applied_index: status.map(|status| status.applied),
            raft_term: seen.term,
            alarms: told
                .iter()
                .filter(|(member, _)| member.is_some() && *member == seen.id)
                .map(|(_, kind)| kind.clone())
                .collect(),
        }
    }

    fn why_not(&self, watched: &Watched) -> String {
        if self.answered {
            return String::new();
        }
        match &self.status_error {
            Some(error) => error.message.clone(),
            None if !watched.member.started => "it was added to the cluster and never started".into(),
            None => "it advertises no client URL: it has not joined the cluster yet".into(),
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole and positive on the page"
)]
fn whole(value: Option<f64>) -> Option<u64> {
    value.map(|value| value as u64)
}
