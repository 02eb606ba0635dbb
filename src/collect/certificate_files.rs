//! The certificate files of the members on this host, named by their flags: what other members and clients are shown, and
//! the CAs that they are judged by.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::expiry::CertificateReading;
use super::local::{self, Local};
use super::{Collector, Failure, Member, Reading, Scope, Settings, Spec, Subject};
use crate::client::Validity;
use crate::model::CollectError;

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "certificate_files",
    scope: Scope::Host,
    descs: &[],
    build: |settings| Box::new(CertificateFiles(settings.clone())),
};

/// What the files are for, by the setting that names them.
const FILES: &[(&str, &str)] = &[
    ("cert-file", "server"),
    ("peer-cert-file", "peer"),
    ("trusted-ca-file", "client_ca"),
    ("peer-trusted-ca-file", "peer_ca"),
    ("client-cert-file", "gateway"),
    ("peer-client-cert-file", "peer_client"),
];

struct CertificateFiles(Settings);

impl Collector for CertificateFiles {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members) = (self.0.clone(), subject.members.clone());
        let processes = subject.processes.clone();
        async move {
            if all_plain(&members) {
                return Err(Failure::Nothing("all members serve plain text".into()));
            }
            local::blocking(subject, SPEC.name, move || {
                let locals = local::members_on_this_host(&processes, &settings, &members)?;
                read(&locals)
            })
            .await
        }
        .boxed()
    }
}

/// Whether every URL that the members advertise is plain text. False while none is known.
fn all_plain(members: &[Member]) -> bool {
    let mut urls = members
        .iter()
        .flat_map(|member| member.client_urls.iter().chain(&member.peer_urls))
        .peekable();
    urls.peek().is_some() && urls.all(|url| url.starts_with("http://") || url.starts_with("unix://"))
}

/// Reads all files of all members; those that cannot be read are told beside the samples of the others.
fn read(locals: &[Local]) -> Result<Reading, Failure> {
    let mut reading = Reading::default();
    let mut named = 0;
    for local in locals {
        if let Some(error) = &local.process.unreadable {
            reading.lacking = reading.lacking.or_else(|| Some(unknown_settings(local, error)));
        }
        for (setting, used_for) in FILES {
            // An empty flag is as good as none, to etcd too.
            let path = local.process.settings.get(setting);
            let Some(path) = path.filter(|path| !path.is_empty()) else {
                continue;
            };
            named += 1;
            let validity = local.process.file(path).and_then(|path| Validity::of_file(&path));
            match validity {
                Ok(validity) => reading.certificates.push(CertificateReading {
                    member: Some(Arc::clone(&local.member)),
                    used_for,
                    source: "file",
                    validity,
                }),
                Err(error) => {
                    reading.lacking = reading.lacking.or_else(|| Some(of_member(local, setting, error)));
                }
            }
        }
    }
    if named == 0 && reading.lacking.is_none() {
        return Err(Failure::Nothing(
            "no member on this host was given certificate files".into(),
        ));
    }
    Ok(reading)
}

fn of_member(local: &Local, setting: &str, error: CollectError) -> CollectError {
    CollectError {
        message: format!("--{setting} of {}: {error}", local.member),
        ..error
    }
}

fn unknown_settings(local: &Local, error: &CollectError) -> CollectError {
    CollectError {
        message: format!(
            "which certificate files {} was given is not known: {error}",
            local.member
        ),
        ..error.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::collect::fixture;

    /// A `/proc` with one etcd process in a container, whose root is a folder beneath it.
    fn process(proc: &Path, flags: &str) -> std::path::PathBuf {
        let dir = proc.join("7");
        fs::create_dir_all(dir.join("root/pki")).unwrap();
        let line = format!("etcd --name=a --advertise-client-urls=https://h:2379 {flags}");
        fs::write(dir.join("cmdline"), line.replace(' ', "\0")).unwrap();
        fs::write(dir.join("environ"), "").unwrap();
        dir.join("root/pki")
    }

    async fn collect(proc: &Path, url: &str) -> Result<Reading, Failure> {
        let settings = Settings {
            proc: proc.to_owned(),
            ..fixture::settings()
        };
        let member = Member {
            name: "a".into(),
            client_urls: vec![url.to_owned()],
            ..fixture::subject().members[0].clone()
        };
        let subject = Subject {
            members: [member].into(),
            ..fixture::subject()
        };
        (SPEC.build)(&settings).collect(&subject).await
    }

    #[tokio::test]
    async fn reads_what_the_flags_name_in_the_container_and_tells_what_it_cannot() {
        let proc = tempfile::tempdir().unwrap();
        let pki = process(
            proc.path(),
            "--peer-cert-file /pki/peer.crt --trusted-ca-file=/pki/missing.crt --cert-file=",
        );
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        fs::write(pki.join("peer.crt"), params.self_signed(&key).unwrap().pem()).unwrap();

        let reading = collect(proc.path(), "https://h:2379").await.expect("a reading");
        let read: Vec<_> = reading
            .certificates
            .iter()
            .map(|read| (read.member.as_deref(), read.used_for, read.validity.not_after))
            .collect();
        assert_eq!(read, [(Some("a"), "peer", Some(1_893_456_000))]);
        let lacking = reading.lacking.expect("the missing file is said");
        assert!(
            lacking
                .message
                .starts_with("--trusted-ca-file of a: could not read "),
            "{lacking}"
        );
    }

    #[tokio::test]
    async fn nobody_misses_the_files_of_members_that_serve_plain_text() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), "--cert-file=/pki/missing.crt");
        let plain = collect(proc.path(), "http://h:2379").await;
        assert!(matches!(plain, Err(Failure::Nothing(_))), "{plain:?}");
    }
}
