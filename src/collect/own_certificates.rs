//! Our own certificate files: the client certificate that the members are shown, and the CAs that they are judged by.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::certificates;
use super::{Collector, Failure, Reading, Scope, Spec, Subject, local};
use crate::model::{Desc, Labels, Sample};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "own_certificates",
    scope: Scope::Own,
    descs: &[&NOT_AFTER, &NOT_BEFORE, &LAST],
    build: |_| Box::new(OwnCertificates),
};

/// `use` is `client` or `ca`.
const LABELS: &[&str] = &["use"];

const SECONDS: Option<&str> = Some("seconds");

static NOT_AFTER: Desc = Desc::gauge(
    "etcd_doctor_own_certificate_not_after_timestamp_seconds",
    SECONDS,
    "When the first of the certificates in a file of etcd-doctor's own expires, in seconds since the epoch. The label use \
     is client for tls.cert_file and ca for tls.ca_file.",
)
.labels(LABELS);
static NOT_BEFORE: Desc = Desc::gauge(
    "etcd_doctor_own_certificate_not_before_timestamp_seconds",
    SECONDS,
    "From when on all certificates in the file are valid.",
)
.labels(LABELS);
static LAST: Desc = Desc::gauge(
    "etcd_doctor_own_certificate_last_not_after_timestamp_seconds",
    SECONDS,
    "When the last of the certificates in the file expires: a bundle of CAs serves as long as one of them is valid.",
)
.labels(LABELS);

struct OwnCertificates;

impl Collector for OwnCertificates {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        async move {
            let Some(network) = subject.network.clone() else {
                return Err(Failure::Nothing("there is no connection".into()));
            };
            let read = move || Ok(network.own_certificates());
            let mut reading = Reading::default();
            let files = local::blocking(subject, SPEC.name, read).await?;
            if files.is_empty() {
                return Err(Failure::Nothing("no certificate file is configured".into()));
            }
            for (used_for, validity) in files {
                match validity {
                    Ok(validity) => {
                        let labels = Labels::new([("use", used_for)]);
                        let last = Sample::number(&LAST, labels.clone(), validity.last_not_after as f64);
                        reading.samples.push(last);
                        let dates = certificates::samples(&NOT_AFTER, &NOT_BEFORE, labels, validity);
                        reading.samples.extend(dates);
                    }
                    Err(error) => reading.lacking = reading.lacking.or(Some(error)),
                }
            }
            Ok(reading)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::{Connection, Network, TlsSettings};
    use crate::collect::fixture;

    async fn collect(tls: TlsSettings) -> Result<Reading, Failure> {
        let connection = Connection {
            tls,
            ..Connection::default()
        };
        let subject = Subject {
            network: Some(Network::new(&connection, Duration::from_secs(2))),
            ..fixture::subject()
        };
        (SPEC.build)(&fixture::settings()).collect(&subject).await
    }

    #[tokio::test]
    async fn one_bad_file_is_said_and_the_other_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("ca.crt"), folder.path().join("client.crt"));
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        std::fs::write(&good, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&bad, "").unwrap();
        let reading = collect(TlsSettings {
            ca_file: Some(good),
            cert_file: Some(bad),
            ..TlsSettings::default()
        })
        .await
        .expect("a reading");
        let lacking = reading.lacking.expect("the empty file is said");
        assert!(lacking.message.ends_with("client.crt is empty"), "{lacking}");
        let lines: Vec<String> = reading
            .samples
            .iter()
            .map(|sample| format!("{}{} {:?}", sample.desc.name, sample.labels, sample.value))
            .collect();
        let expected =
            r#"etcd_doctor_own_certificate_not_after_timestamp_seconds{use="ca"} Number(1893456000.0)"#;
        assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
    }

    #[tokio::test]
    async fn nobody_misses_files_that_nobody_configured() {
        assert!(matches!(
            collect(TlsSettings::default()).await,
            Err(Failure::Nothing(_))
        ));
    }
}
