//! Our own certificate files: the client certificate that the members are shown, and the CAs that they are judged by.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::expiry::CertificateReading;
use super::{Collector, Failure, Reading, Scope, Spec, Subject, local};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "own_certificates",
    scope: Scope::Own,
    descs: &[],
    build: |_| Box::new(OwnCertificates),
};

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
                    Ok(validity) => reading.certificates.push(CertificateReading {
                        member: None,
                        used_for,
                        source: "own",
                        validity,
                    }),
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
        let read: Vec<_> = reading
            .certificates
            .iter()
            .map(|certificate| (certificate.used_for, certificate.validity.not_after))
            .collect();
        assert_eq!(read, [("ca", Some(1_893_456_000))]);
    }

    #[tokio::test]
    async fn nobody_misses_files_that_nobody_configured() {
        assert!(matches!(
            collect(TlsSettings::default()).await,
            Err(Failure::Nothing(_))
        ));
    }
}
