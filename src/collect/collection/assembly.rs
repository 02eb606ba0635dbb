//! From the readings of one cycle to its batch: everything that is worked out from more than one of them.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Collection;
use super::runner::Run;
use super::view::View;
use crate::client::Link;
use crate::client::scrape::Page;
use crate::collect::elections::{ELECTIONS, RESTARTS, Sighting};
use crate::collect::members::Seen;
use crate::collect::{Failure, addresses, alarms, expiry, hearing, members, quota, settings, status};
use crate::model::{
    Access, Batch, ClusterFacts, CollectError, Labels, Outcome, Quota, Reason, Sample, TargetPage, Timestamp,
    Verdict,
};

/// The members' health, asked for.
pub(super) type HealthAsked = JoinSet<Result<Page, CollectError>>;

impl Collection {
    /// Makes the batch of one cycle from what the collectors brought.
    pub(super) async fn assemble(
        &mut self,
        now: Timestamp,
        runs: Vec<Run>,
        health: HealthAsked,
        discovery: Outcome,
        endpoints: Vec<Sample>,
    ) -> Batch {
        let mut views: Vec<View> = self.watched.iter().map(View::new).collect();
        let mut samples = endpoints;
        let mut outcomes = vec![discovery];
        outcomes.extend(self.strays());
        for run in runs {
            let view = run.member.and_then(|at| views.get_mut(at));
            let member = view.as_ref().map(|view| Arc::clone(&view.name));
            let verdict = match run.result {
                Ok(reading) => {
                    let labels = member.as_ref().map(|name| ("member", &**name));
                    samples.extend(reading.samples.into_iter().map(|sample| labelled(sample, labels)));
                    samples.extend(reading.certificates.iter().flat_map(expiry::samples));
                    for (name, process) in reading.processes {
                        if let Some(view) = views.iter_mut().find(|view| view.name == name) {
                            view.process = Some(process);
                        }
                    }
                    if let Some(view) = run.member.and_then(|at| views.get_mut(at)) {
                        view.answered |=
                            reading.answered || reading.status.is_some() || reading.metrics.is_some();
                        view.status = view.status.take().or(reading.status);
                        view.metrics = view.metrics.take().or(reading.metrics);
                    }
                    reading.lacking.map_or(Verdict::Read, Verdict::Failed)
                }
                Err(Failure::Nothing(why)) => Verdict::Nothing(why),
                Err(Failure::NotApplicable(why)) => Verdict::NotApplicable(why),
                Err(Failure::Failed(error)) => {
                    if let Some(view) = view {
                        if run.spec.name == status::SPEC.name {
                            view.status_error = Some(error.clone());
                        }
                        view.silent |= matches!(error.reason, Reason::Unreachable | Reason::Timeout);
                    }
                    Verdict::Failed(error)
                }
            };
            outcomes.push(Outcome {
                collector: run.spec.name,
                member,
                duration: run.duration,
                verdict,
            });
        }
        for view in &mut views {
            let refused = view
                .status_error
                .as_ref()
                .is_some_and(|error| is_answer(error.reason));
            // A refusal stands for a minute without a call being made: it must not speak for a member that died since.
            view.answered |= refused && !view.silent;
        }
        let alarms = self.alarms(&views, health).await;
        let facts = self.derive(now, &views, alarms.as_deref(), &mut samples);
        self.try_elsewhere(&views);
        self.report(now, &outcomes, &mut samples);
        let cluster = Arc::clone(&self.cluster);
        for sample in &mut samples {
            sample.labels = sample.labels.with("cluster", &cluster);
        }
        Batch {
            cluster,
            time: now,
            samples,
            pages: self.pages(views),
            facts,
            outcomes,
        }
    }

    /// The alarms: of the member that has applied the most, since one that lags may still list what was disarmed.
    /// Where Status is refused everywhere, what `/health` of etcd 3.5 and newer says: `health` when it was asked
    /// beside the collectors, else it is asked now and from then on beside them. None when nobody tells.
    async fn alarms(&mut self, views: &[View], mut health: HealthAsked) -> Option<Vec<alarms::Alarm>> {
        let newest = views
            .iter()
            .filter_map(|view| view.status.as_ref())
            .max_by_key(|status| (status.term, status.applied));
        if let Some(status) = newest {
            self.tell_health.clear();
            return Some(status.alarms.clone());
        }
        self.tell_health = self.refusing_status(views);
        if health.is_empty() {
            health = self.ask_for_health();
        }
        let mut told: Option<Vec<alarms::Alarm>> = None;
        while let Some(answer) = health.join_next().await {
            if let Ok(Ok(page)) = answer
                && let Some(alarms) = alarms::parse_health(&page.body)
            {
                let all = told.get_or_insert_default();
                all.extend(alarms);
                all.sort();
                all.dedup();
            }
        }
        told
    }

    /// The members that answered Status with a refusal and may be asked for their health.
    fn refusing_status(&self, views: &[View]) -> Vec<Arc<Link>> {
        let refusing = views.iter().zip(&self.watched).filter(|(view, _)| {
            let error = view.status_error.as_ref();
            let version = view.metrics.as_ref().and_then(|page| page.version.as_deref());
            error.is_some_and(|error| is_answer(error.reason)) && version.is_some_and(alarms::health_is_free)
        });
        refusing.filter_map(|(_, watched)| watched.link.clone()).collect()
    }

    /// Asks for the health of the members that refused Status the last time, each in its own task.
    pub(super) fn ask_for_health(&self) -> HealthAsked {
        let links = self.tell_health.iter().map(Arc::clone);
        links
            .map(|link| async move { link.scraper().get(alarms::HEALTH).await })
            .collect()
    }

    /// Everything that is worked out from more than one reading.
    fn derive(
        &mut self,
        now: Timestamp,
        views: &[View],
        told: Option<&[alarms::Alarm]>,
        samples: &mut Vec<Sample>,
    ) -> ClusterFacts {
        let membership_known = !self.listed.is_empty();
        let seen: Vec<Seen> = views
            .iter()
            .zip(&self.watched)
            .map(|(view, watched)| view.seen(watched))
            .collect();
        let quorum = members::quorum(&seen, membership_known);
        samples.extend(members::samples(&seen, membership_known, &quorum));

        let some_status = views.iter().any(|view| view.status.is_some());
        if let Some(told) = told {
            let named: Vec<(&str, Option<u64>)> = seen.iter().map(|seen| (&*seen.name, seen.id)).collect();
            samples.extend(alarms::samples(told, some_status.then_some(&named)));
        }

        let sightings: Vec<Sighting> = views
            .iter()
            .zip(&seen)
            .filter_map(|(view, seen)| view.sighting(seen.id))
            .collect();
        let count = self.elections.observe(now, &sightings);
        samples.push(Sample::number(&ELECTIONS, Labels::empty(), count as f64));
        for sighting in &sightings {
            if let Some(start_time) = sighting.start_time {
                self.restarts.observe(sighting.member, start_time);
            }
        }

        let pages = views.iter().zip(&seen);
        let pages = pages.filter_map(|(view, seen)| view.received(seen.id));
        let heard = self.hearing.observe(pages.collect());
        samples.extend(hearing::samples(
            &heard,
            seen.iter().map(|seen| (&seen.name, seen.id)),
        ));
        let index = |(view, seen): (&View, &Seen)| Some((Arc::clone(&seen.name), seen.id?, view.index()?));
        let indices: Vec<(Arc<str>, u64, u64)> = views.iter().zip(&seen).filter_map(index).collect();
        samples.extend(self.progress.observe(now, &indices));

        let quotas: Vec<Quota> = views
            .iter()
            .zip(&seen)
            .map(|(view, seen)| self.quota(view, seen.id))
            .collect();
        let mut facts = Vec::new();
        for (((view, seen), quota), watched) in views.iter().zip(&seen).zip(quotas).zip(&self.watched) {
            let labels = Labels::new([("member", Arc::clone(&seen.name))]);
            if view.status.is_none()
                && let Some(page) = &view.metrics
            {
                let endpoint = watched.member.endpoint.as_deref().unwrap_or_default();
                let told = status::samples_from_page(page, endpoint);
                samples.extend(
                    told.into_iter()
                        .map(|sample| labelled(sample, Some(("member", &seen.name)))),
                );
            }
            if let Some(count) = seen.id.and_then(|id| self.restarts.of(id)) {
                samples.push(Sample::number(&RESTARTS, labels.clone(), count as f64));
            }
            samples.extend(quota::samples(&labels, quota));
            samples.extend(addresses::samples(&labels, &watched.member));
            if let Some(process) = &view.process {
                samples.extend(settings::samples(&labels, process, view.version().as_deref()));
            }
            facts.push(view.facts(watched, seen, quota, told.unwrap_or_default()));
        }
        ClusterFacts {
            // Known to whoever configured the connection.
            access: Access::default(),
            cluster_id: self.cluster_id.or_else(|| {
                let told = views.iter().filter_map(|view| view.status.as_ref());
                told.map(|status| status.cluster_id).find(|id| *id != 0)
            }),
            quorum,
            members: facts,
        }
    }

    /// The quota of a member that told anything in this cycle; what it tells itself is remembered until it restarts.
    fn quota(&mut self, view: &View, id: Option<u64>) -> Quota {
        if view.status.is_none() && view.metrics.is_none() {
            return Quota::Unknown;
        }
        let on_page = view.metrics.as_ref().and_then(|page| page.start_time);
        let start_time = on_page.or(view.process.as_ref().and_then(|process| process.start_time));
        let quota = quota::ladder(&quota::Told {
            status: view.status.as_ref().map(|status| status.quota),
            metrics: view.metrics.as_ref().and_then(|page| page.quota),
            before: id.map(|id| self.quotas.of(id, start_time)).unwrap_or_default(),
            process: view.process.as_ref().and_then(|process| process.quota),
            configured: self.settings.quota_bytes,
        });
        if let Some(id) = id {
            self.quotas.note(id, quota, start_time);
        }
        quota
    }

    /// Each member's own page, or that it could not be had.
    fn pages(&self, views: Vec<View>) -> Vec<TargetPage> {
        let targets = views
            .into_iter()
            .zip(&self.watched)
            .filter_map(|(view, watched)| {
                let link = watched.link.as_ref()?;
                Some(TargetPage {
                    member: view.name,
                    instance: link.scraper().instance().into(),
                    series: view.metrics.map(|page| page.page),
                })
            });
        targets.collect()
    }
}

/// Whether a failure of Status still shows that the member is there and talks.
fn is_answer(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PermissionDenied | Reason::Unauthenticated | Reason::Refused
    )
}

fn labelled(mut sample: Sample, label: Option<(&str, &str)>) -> Sample {
    if let Some((name, value)) = label {
        sample.labels = sample.labels.with(name, value);
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Connection;
    use crate::collect::{MetricsReading, Settings, StatusReading};
    use crate::model::AlarmKind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A member of which only `/health` is to be had.
    async fn in_alarm() -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let body = r#"{"health":"false","reason":"ALARM NOSPACE"}"#;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all((head + body).as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn health_is_asked_beside_the_collectors_once_status_was_refused() {
        let connection = Connection {
            endpoints: vec![in_alarm().await.to_string()],
            ..Connection::default()
        };
        let mut collection = Collection::new("c", &connection, Settings::default()).unwrap();
        assert!(collection.ask_for_health().is_empty(), "nothing was refused yet");
        let mut view = View::new(&collection.watched[0]);
        view.status_error = Some(CollectError {
            reason: Reason::PermissionDenied,
            message: String::new(),
            fix: String::new(),
        });
        view.metrics = Some(MetricsReading {
            version: Some("3.5.28".into()),
            ..MetricsReading::default()
        });
        let mut views = [view];
        let told = Some(vec![(None, AlarmKind::NoSpace)]);
        assert_eq!(collection.alarms(&views, JoinSet::new()).await, told);
        let asked = collection.ask_for_health();
        assert_eq!(asked.len(), 1, "asked before the collectors are done");
        assert_eq!(collection.alarms(&views, asked).await, told);
        views[0].status = Some(StatusReading::default());
        assert_eq!(collection.alarms(&views, JoinSet::new()).await, Some(vec![]));
        assert!(collection.ask_for_health().is_empty(), "Status tells them again");
    }
}
