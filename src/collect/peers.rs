//! The collector `peers`: each member's peer port, where etcd-doctor may ask it.
//!
//! It answers where the client port does not: a member that was started without a quorum takes clients' connections and
//! never answers them, and a paused one answers on neither. And it tells the member's time.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject};
use crate::client::peer_port::{Answer, PeerPort};
use crate::model::{CollectError, Desc, Labels, Reason, Sample};

static ANSWERS: Desc = Desc::gauge(
    "etcd_doctor_peer_port_answers",
    None,
    "Whether the member answered /raft/probing on its first peer URL in this cycle.",
)
.labels(&["member"]);
static DURATION: Desc = Desc::gauge(
    "etcd_doctor_peer_port_duration_seconds",
    Some("seconds"),
    "How long it took to answer, the connection included where a new one was made.",
)
.labels(&["member"])
.sparse();
static CLOCK_OFFSET: Desc = Desc::gauge(
    "etcd_doctor_member_clock_offset_seconds",
    Some("seconds"),
    "The member's time in /raft/probing less that of etcd-doctor's host, half of the round trip allowed for; it may be off by \
     the other half.",
)
.labels(&["member"])
.sparse();

pub(super) const SPEC: Spec = Spec {
    name: "peers",
    scope: Scope::Own,
    descs: &[&ANSWERS, &DURATION, &CLOCK_OFFSET],
    build: |settings: &Settings| {
        Box::new(Peers {
            settings: settings.clone(),
            ports: HashMap::new(),
        })
    },
};

struct Peers {
    settings: Settings,
    /// By URL: connections are kept over the cycles.
    ports: HashMap<String, Arc<PeerPort>>,
}

impl Collector for Peers {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        async move {
            let Some(tls) = &self.settings.peer_tls else {
                return Err(Failure::NotApplicable(
                    "the members' peer ports are not asked: set peer_ports".into(),
                ));
            };
            let members = subject.members.iter();
            let urls: Vec<(&Arc<str>, &String)> = members
                .filter(|member| member.started)
                .filter_map(|member| Some((&member.name, member.peer_urls.first()?)))
                .collect();
            if urls.is_empty() {
                return Err(Failure::Nothing("no member has reported its peer URL yet".into()));
            }
            self.ports
                .retain(|known, _| urls.iter().any(|(_, url)| *url == known));
            let mut asked = Vec::new();
            for (name, url) in urls {
                let port = match self.ports.get(url) {
                    Some(port) => Arc::clone(port),
                    None => {
                        // A URL that etcd gave and that is none is of a kind that is not known here.
                        let Ok(port) = PeerPort::new(url, tls, subject.timeout) else {
                            continue;
                        };
                        let port = Arc::new(port);
                        self.ports.insert(url.clone(), Arc::clone(&port));
                        port
                    }
                };
                asked.push(async move {
                    let sent = subject.time();
                    (name, sent, port.ask().await)
                });
            }
            let mut reading = Reading::default();
            for (name, sent, answer) in join_all(asked).await {
                match judge(name, sent, answer) {
                    Ok(samples) => reading.samples.extend(samples),
                    Err(error) => reading.lacking = Some(error),
                }
            }
            Ok(reading)
        }
        .boxed()
    }
}

/// That a port does not answer is what this is there to see. That it cannot be asked, for want of a certificate say,
/// tells nothing of the member.
fn judge(name: &str, sent: f64, answer: Result<Answer, CollectError>) -> Result<Vec<Sample>, CollectError> {
    let labels = Labels::new([("member", name)]);
    let number = |desc, value| Sample::number(desc, labels.clone(), value);
    match answer {
        Ok(Answer { took, time }) => {
            let took = took.as_secs_f64();
            let mut samples = vec![number(&ANSWERS, 1.0), number(&DURATION, took)];
            samples.extend(time.map(|time| number(&CLOCK_OFFSET, time - sent - took / 2.0)));
            Ok(samples)
        }
        Err(error) if matches!(error.reason, Reason::Unreachable | Reason::Timeout) => {
            Ok(vec![number(&ANSWERS, 0.0)])
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn shown(samples: &[Sample]) -> Vec<String> {
        let show = |sample: &Sample| format!("{}{} {:?}", sample.desc.name, sample.labels, sample.value);
        samples.iter().map(show).collect()
    }

    #[test]
    fn half_of_the_round_trip_is_allowed_for() {
        let answer = Answer {
            took: Duration::from_millis(500),
            time: Some(105.25),
        };
        assert_eq!(
            shown(&judge("a", 100.0, Ok(answer)).unwrap()),
            [
                r#"etcd_doctor_peer_port_answers{member="a"} Number(1.0)"#,
                r#"etcd_doctor_peer_port_duration_seconds{member="a"} Number(0.5)"#,
                r#"etcd_doctor_member_clock_offset_seconds{member="a"} Number(5.0)"#,
            ]
        );
    }

    #[test]
    fn silence_is_a_finding_and_a_wrong_certificate_is_not() {
        let failed = |reason| {
            Err(CollectError {
                reason,
                message: String::new(),
                fix: String::new(),
            })
        };
        for reason in [Reason::Timeout, Reason::Unreachable] {
            assert_eq!(
                shown(&judge("a", 0.0, failed(reason)).unwrap()),
                [r#"etcd_doctor_peer_port_answers{member="a"} Number(0.0)"#]
            );
        }
        assert!(judge("a", 0.0, failed(Reason::Tls)).is_err());
    }
}
