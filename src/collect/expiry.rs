//! When certificates expire: one metric of all that handshakes and files tell.

use std::sync::Arc;

use crate::client::Validity;
use crate::model::{Desc, Labels, Sample};

/// `member` only where the certificate is a member's.
const LABELS: &[&str] = &["member", "use", "source"];

const SECONDS: Option<&str> = Some("seconds");

static NOT_AFTER: Desc = Desc::gauge(
    "etcd_doctor_certificate_not_after_timestamp_seconds",
    SECONDS,
    "When the certificate expires, in seconds since the epoch; where there are several in a file or a handshake, the first \
     of them; absent without TLS, and when a handshake failed because one is not valid yet.",
)
.labels(LABELS)
.sparse();
static NOT_BEFORE: Desc = Desc::gauge(
    "etcd_doctor_certificate_not_before_timestamp_seconds",
    SECONDS,
    "From when on all of them are valid; absent without TLS, and when a handshake failed because one had expired.",
)
.labels(LABELS)
.sparse();
static LAST: Desc = Desc::gauge(
    "etcd_doctor_certificate_last_not_after_timestamp_seconds",
    SECONDS,
    "When the last of them expires: a bundle of CAs serves as long as one of them is valid; absent as the first is.",
)
.labels(LABELS)
.sparse();

pub(super) const DESCS: &[&Desc] = &[&NOT_AFTER, &NOT_BEFORE, &LAST];

/// What a collector learnt of a certificate, or of several in one file or handshake.
#[derive(Clone, Debug)]
pub struct CertificateReading {
    /// Whose it is; none for our own.
    pub member: Option<Arc<str>>,
    /// What it is for: one of a closed list.
    pub used_for: &'static str,
    /// Where it was seen: `handshake`, `file` or `own`.
    pub source: &'static str,
    /// For how long it is valid.
    pub validity: Validity,
}

/// The samples of one reading.
pub(super) fn samples(reading: &CertificateReading) -> Vec<Sample> {
    let labels = Labels::new([
        ("member", reading.member.as_deref().unwrap_or_default()),
        ("use", reading.used_for),
        ("source", reading.source),
    ]);
    let Validity {
        not_before,
        not_after,
        last_not_after,
    } = reading.validity;
    let dates = [
        (&NOT_AFTER, not_after),
        (&NOT_BEFORE, not_before),
        (&LAST, last_not_after),
    ];
    dates
        .into_iter()
        .filter_map(|(desc, date)| Some(Sample::number(desc, labels.clone(), date? as f64)))
        .collect()
}
