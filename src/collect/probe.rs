//! The collector `probe`: one linearizable and one serializable read of each member, timed.
//!
//! The pair tells a slow or lost quorum (only the first fails) from a slow member (both do).

use futures::FutureExt;
use futures::future::{BoxFuture, join};
use tokio::time::Instant;

use super::{Collector, Failure, Reading, Scope, Settings, Spec, Subject};
use crate::client::Link;
use crate::client::etcd::{Consistency, Header};
use crate::model::{CollectError, Desc, Histogram, Labels, Reason, Sample};

static DURATION: Desc = Desc::histogram(
    "etcd_doctor_probe_duration_seconds",
    Some("seconds"),
    "How long answered reads of the key `health` took, by kind of read.",
)
.labels(&["probe"]);
static SUCCESS: Desc = Desc::gauge(
    "etcd_doctor_probe_success",
    None,
    "Whether the read was answered in this cycle. A read refused for lack of permission counts as answered.",
)
.labels(&["probe"]);

pub(super) const SPEC: Spec = Spec {
    name: "probe",
    scope: Scope::Member,
    descs: &[&DURATION, &SUCCESS],
    build: |_: &Settings| Box::new(ProbeCollector::new()),
};

/// From a tenth of what an idle member on a fast disk needs to past the default deadline, finest between 1 ms and
/// 100 ms, where a healthy cluster turns into a slow one.
const BOUNDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Keeps the histograms over the cycles.
struct ProbeCollector {
    linearizable: Histogram,
    serializable: Histogram,
}

impl ProbeCollector {
    fn new() -> Self {
        Self {
            linearizable: Histogram::with_bounds(BOUNDS),
            serializable: Histogram::with_bounds(BOUNDS),
        }
    }
}

/// What came of one read.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Probed {
    /// It was answered, after so many seconds.
    Read(f64),
    /// The member answered that it cannot, for lack of a leader for instance: no success, but it is there.
    Refused,
    /// The member did not answer.
    Silence,
}

async fn probe(subject: &Subject, link: &Link, consistency: Consistency) -> Result<Probed, Failure> {
    let started = Instant::now();
    let answer = link.etcd().read(consistency).await;
    judge(subject, answer, started.elapsed().as_secs_f64())
}

/// That a member does not answer is what the probe is there to see. That it cannot be asked (TLS, credentials) or
/// that another one answers says nothing about it.
fn judge(subject: &Subject, answer: Result<Header, CollectError>, seconds: f64) -> Result<Probed, Failure> {
    match answer {
        Ok(header) => {
            subject.believe(header.member_id, header.cluster_id)?;
            Ok(Probed::Read(seconds))
        }
        Err(error) => match error.reason {
            Reason::Unreachable | Reason::Timeout => Ok(Probed::Silence),
            Reason::Refused => Ok(Probed::Refused),
            _ => Err(Failure::Failed(error)),
        },
    }
}

impl Collector for ProbeCollector {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        async move {
            let Some(link) = &subject.link else {
                return Err(Failure::NotApplicable("no endpoint is known".into()));
            };
            // A learner answers serializable reads only.
            let votes = subject.member.as_ref().is_none_or(|member| !member.learner);
            let linearizable = async {
                match votes {
                    true => probe(subject, link, Consistency::Linearizable).await.map(Some),
                    false => Ok(None),
                }
            };
            let serializable = probe(subject, link, Consistency::Serializable);
            let (linearizable, serializable) = join(linearizable, serializable).await;
            let mut reading = Reading::default();
            for (name, probed, histogram) in [
                ("linearizable", linearizable?, &mut self.linearizable),
                ("serializable", Some(serializable?), &mut self.serializable),
            ] {
                let Some(probed) = probed else { continue };
                reading.answered |= probed != Probed::Silence;
                let mut success = 0.0;
                if let Probed::Read(seconds) = probed {
                    histogram.observe(seconds);
                    success = 1.0;
                }
                let labels = Labels::new([("probe", name)]);
                reading
                    .samples
                    .push(Sample::number(&SUCCESS, labels.clone(), success));
                reading
                    .samples
                    .push(Sample::histogram(&DURATION, labels, histogram.clone()));
            }
            Ok(reading)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use std::time::Duration;

    fn subject() -> Subject {
        Subject {
            now: Timestamp::from_millis(0),
            begun: Instant::now(),
            timeout: Duration::from_secs(2),
            member: None,
            members: [].into(),
            link: None,
            cluster_id: Some(7),
            processes: Default::default(),
            network: None,
        }
    }

    fn failed(reason: Reason) -> Result<Header, CollectError> {
        Err(CollectError {
            reason,
            message: String::new(),
            fix: String::new(),
        })
    }

    #[test]
    fn silence_is_a_finding_and_not_being_able_to_ask_is_not() {
        for (reason, probed) in [
            (Reason::Unreachable, Probed::Silence),
            (Reason::Timeout, Probed::Silence),
            // As for Status, a refusal is an answer.
            (Reason::Refused, Probed::Refused),
        ] {
            assert_eq!(judge(&subject(), failed(reason), 0.1).unwrap(), probed);
        }
        for reason in [Reason::Tls, Reason::Unauthenticated] {
            assert!(judge(&subject(), failed(reason), 0.1).is_err());
        }
    }

    #[test]
    fn an_answer_of_another_cluster_is_not_believed() {
        let header = |cluster_id| Header {
            cluster_id,
            ..Header::default()
        };
        assert_eq!(judge(&subject(), Ok(header(7)), 0.1).unwrap(), Probed::Read(0.1));
        assert_eq!(
            judge(&subject(), Ok(Header::default()), 0.1).unwrap(),
            Probed::Read(0.1)
        );
        assert!(judge(&subject(), Ok(header(8)), 0.1).is_err());
    }
}
