//! The certificate that each member shows its clients, as seen in the TLS handshakes of our own connections.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::expiry::CertificateReading;
use super::{Collector, Failure, Reading, Scope, Spec, Subject};
use crate::client::{Link, Shown, Validity};
use crate::model::{CollectError, Desc, Labels, Reason, Sample, Timestamp};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "certificates",
    scope: Scope::Member,
    descs: &[&CLIENT_CERTIFICATE_REQUESTED],
    build: |_| Box::new(Certificates::default()),
};

static CLIENT_CERTIFICATE_REQUESTED: Desc = Desc::gauge(
    "etcd_doctor_member_client_certificate_requested",
    None,
    "Whether the member asked for a client certificate in the newest TLS handshake, which etcd does when it requires one; absent \
     where it serves plain text.",
);

/// How old a handshake may be: a certificate renewed since is not seen, for connections are kept.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// The same in the last third of a certificate's life, when it is about to be renewed and an alert about it should end
/// soon after.
const LOOK_AGAIN_NEAR_THE_END: Duration = Duration::from_secs(60);

/// Looks at the handshakes of one member.
#[derive(Default)]
struct Certificates {
    /// When a connection was last made for this alone, and why that failed.
    looked: Option<(Instant, Option<CollectError>)>,
}

impl Collector for Certificates {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        async move {
            let Some(link) = &subject.link else {
                return Err(Failure::NotApplicable("no endpoint is known".into()));
            };
            if !link.endpoint().is_tls() {
                return Err(Failure::Nothing(format!("{} serves plain text", link.endpoint())));
            }
            let shown = self.shown(link, subject.now).await.map_err(Failure::Failed)?;
            let validity = shown.validity.map_err(|why| {
                Failure::Failed(CollectError {
                    reason: Reason::Malformed,
                    message: format!("the certificate of {} cannot be read: {why}", link.endpoint()),
                    fix: "have the member's certificate issued anew by a CA that keeps to X.509".into(),
                })
            })?;
            let asks = shown.asks_for_certificate.map(|asks| {
                Sample::number(
                    &CLIENT_CERTIFICATE_REQUESTED,
                    Labels::empty(),
                    f64::from(u8::from(asks)),
                )
            });
            Ok(Reading {
                samples: asks.into_iter().collect(),
                certificates: vec![CertificateReading {
                    member: subject.member.as_ref().map(|member| Arc::clone(&member.name)),
                    used_for: "server",
                    source: "handshake",
                    validity,
                }],
                ..Reading::default()
            })
        }
        .boxed()
    }
}

impl Certificates {
    /// What the member showed last, not too long ago. Connects for this alone only when the connections that there are
    /// showed nothing yet, or are old.
    async fn shown(&mut self, link: &Link, now: Timestamp) -> Result<Shown, CollectError> {
        let shown = link.shown()?;
        let old = match &shown {
            None => true,
            Some(shown) => shown.at.elapsed() >= patience(shown, now),
        };
        let rested = |(at, _): &(Instant, _)| at.elapsed() >= LOOK_AGAIN_NEAR_THE_END;
        if old && self.looked.as_ref().is_none_or(rested) {
            let failure = link.look_again().await.err();
            self.looked = Some((Instant::now(), failure));
        }
        let failure = self.looked.as_ref().and_then(|(_, failure)| failure.clone());
        match (link.shown()?, failure) {
            (Some(shown), _) => Ok(shown),
            (None, Some(failure)) => Err(failure),
            (None, None) => Err(CollectError {
                reason: Reason::Unreachable,
                message: format!("no TLS connection to {} has been made yet", link.endpoint()),
                fix: String::new(),
            }),
        }
    }
}

fn patience(shown: &Shown, now: Timestamp) -> Duration {
    let near_the_end = |validity: &Validity| {
        // Of one that was refused only one end is known: it is about to be replaced.
        let (Some(begin), Some(end)) = (validity.not_before, validity.not_after) else {
            return true;
        };
        let (begin, end) = (begin as f64, end as f64);
        begin > now.seconds() || (end - now.seconds()) * 3.0 < end - begin
    };
    match &shown.validity {
        Ok(validity) if !near_the_end(validity) => LOOK_AGAIN,
        _ => LOOK_AGAIN_NEAR_THE_END,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(validity: Result<(Option<i64>, Option<i64>), String>) -> Shown {
        Shown {
            at: Instant::now(),
            validity: validity.map(|(not_before, not_after)| Validity {
                not_before,
                not_after,
                last_not_after: not_after,
            }),
            asks_for_certificate: Some(true),
        }
    }

    #[test]
    fn a_certificate_is_looked_at_more_often_in_the_last_third_of_its_life() {
        let now = Timestamp::from_millis(1_000_000);
        for (validity, expected) in [
            (Ok((Some(0), Some(2000))), LOOK_AGAIN),
            (Ok((Some(0), Some(1600))), LOOK_AGAIN),
            (Ok((Some(0), Some(1400))), LOOK_AGAIN_NEAR_THE_END),
            (Ok((Some(0), Some(900))), LOOK_AGAIN_NEAR_THE_END),
            (Ok((None, Some(900))), LOOK_AGAIN_NEAR_THE_END),
            (Ok((Some(1100), Some(9000))), LOOK_AGAIN_NEAR_THE_END),
            (Ok((Some(1100), None)), LOOK_AGAIN_NEAR_THE_END),
            (Err("no certificate".to_owned()), LOOK_AGAIN_NEAR_THE_END),
        ] {
            assert_eq!(patience(&shown(validity.clone()), now), expected, "{validity:?}");
        }
    }
}
