//! TLS: certificates from files that may change, and our own verifier where the user waives verification.

mod words;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde::Deserialize;

use super::certificate::{Validity, from_pem};
use super::endpoint::Endpoint;
use crate::model::{CollectError, Reason};

pub(super) use words::tls_failure;

/// Where Linux distributions keep the CAs that they trust: used when no CA file is given, as etcdctl does.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Certificates of one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// PEM file with the CAs that signed the members' certificates. Without it the system's CAs count.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate and what signed it, for members that ask for one.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// The name that members' certificates must be valid for, instead of the endpoint's host.
    pub server_name: Option<String>,
    /// Accepts any certificate. Anybody on the way can then read the password and lie about the cluster.
    pub insecure_skip_verify: bool,
}

impl TlsSettings {
    /// Whether a certificate of ours is configured.
    pub(super) fn has_client_certificate(&self) -> bool {
        self.cert_file.is_some() || self.key_file.is_some()
    }
}

/// The protocol that a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Alpn {
    Http2,
    Http1,
}

/// The certificate files of one cluster, read again when one of them changed.
pub(super) struct TlsFiles {
    settings: TlsSettings,
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    stamps: Vec<Option<Stamp>>,
    http2: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

/// What tells that a file changed: a renamed-in file may have the same time and length, so the inode counts too.
type Stamp = (SystemTime, u64, u64);

impl TlsFiles {
    pub(super) fn new(settings: TlsSettings) -> Self {
        Self {
            settings,
            loaded: Mutex::new(None),
        }
    }

    pub(super) fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// Whether anything is configured, which makes an endpoint without a scheme TLS.
    pub(super) fn configured(&self) -> bool {
        self.settings != TlsSettings::default()
    }

    /// The name to verify: the override, or the endpoint's host.
    pub(super) fn name_for(&self, endpoint: &Endpoint) -> Result<ServerName<'static>, CollectError> {
        let name = self.settings.server_name.as_deref().unwrap_or(endpoint.host());
        ServerName::try_from(name.to_owned()).map_err(|error| CollectError {
            reason: Reason::Tls,
            message: format!("cannot connect to {endpoint}: {name:?} is no name for a certificate: {error}"),
            fix: "correct the endpoint's host or tls.server_name".into(),
        })
    }

    /// The configuration as of now. While new files cannot be used (half of a rotation, say), the ones read before
    /// stay in force.
    pub(super) fn config(&self, alpn: Alpn) -> Result<Arc<ClientConfig>, CollectError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.stamps();
        if loaded.as_ref().is_none_or(|loaded| loaded.stamps != stamps) {
            match (load(&self.settings), loaded.as_mut()) {
                (Ok(mut config), _) => {
                    // A resumed session shows no certificate, and connections are kept, so it would save nothing.
                    config.resumption = Resumption::disabled();
                    let with_alpn = |protocol: &[u8]| {
                        let mut config = config.clone();
                        config.alpn_protocols = vec![protocol.to_vec()];
                        Arc::new(config)
                    };
                    *loaded = Some(Loaded {
                        stamps,
                        http2: with_alpn(b"h2"),
                        http1: with_alpn(b"http/1.1"),
                    });
                }
                (Err(error), Some(loaded)) => {
                    tracing::warn!(%error, "changed certificate files cannot be used, keeping those read before");
                    loaded.stamps = stamps;
                }
                (Err(error), None) => return Err(error),
            }
        }
        match (&*loaded, alpn) {
            (Some(loaded), Alpn::Http2) => Ok(Arc::clone(&loaded.http2)),
            (Some(loaded), Alpn::Http1) => Ok(Arc::clone(&loaded.http1)),
            (None, _) => Err(unusable("no TLS configuration was made".into())),
        }
    }

    /// The files of certificates that are configured, and what each is for: `client` or `ca`.
    pub(super) fn certificate_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let TlsSettings {
            ca_file, cert_file, ..
        } = &self.settings;
        [("client", cert_file), ("ca", ca_file)]
            .into_iter()
            .filter_map(|(used_for, path)| Some((used_for, path.as_deref()?)))
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        use std::os::unix::fs::MetadataExt;
        let TlsSettings {
            ca_file,
            cert_file,
            key_file,
            ..
        } = &self.settings;
        [ca_file, cert_file, key_file]
            .into_iter()
            .flatten()
            .map(|path| {
                let metadata = fs::metadata(path).ok()?;
                Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
            })
            .collect()
    }
}

fn unusable(message: String) -> CollectError {
    CollectError {
        reason: Reason::Tls,
        message,
        fix: "correct ca_file, cert_file and key_file".into(),
    }
}

fn load(settings: &TlsSettings) -> Result<ClientConfig, CollectError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(format!("cannot set up TLS: {error}")))?;
    let builder = if settings.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
    } else {
        builder.with_root_certificates(roots(settings.ca_file.as_deref())?)
    };
    match (&settings.cert_file, &settings.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert_file), Some(key_file)) => {
            let chain = certificates(cert_file)?;
            let key = PrivateKeyDer::from_pem_slice(&read(key_file)?).map_err(|error| {
                unusable(format!(
                    "no private key can be read from {}: {error}",
                    key_file.display()
                ))
            })?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                unusable(format!(
                    "the certificate in {} and the key in {} cannot be used together: {error}",
                    cert_file.display(),
                    key_file.display()
                ))
            })
        }
        (Some(cert_file), None) => Err(unusable(format!(
            "cert_file {} is given without key_file",
            cert_file.display()
        ))),
        (None, Some(key_file)) => Err(unusable(format!(
            "key_file {} is given without cert_file",
            key_file.display()
        ))),
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, CollectError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| {
                    unusable(format!(
                        "a certificate in {} is no usable CA: {error}",
                        path.display()
                    ))
                })?;
            }
        }
        None => {
            let path = SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
            if let Some(path) = path {
                // A system's bundle may hold a certificate that this library cannot use: the others still count.
                roots.add_parsable_certificates(certificates(path)?);
            }
        }
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, CollectError> {
    fs::read(path).map_err(|error| unusable(format!("cannot read {}: {error}", path.display())))
}

/// The certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CollectError> {
    from_pem(&read(path)?).map_err(|why| unusable(format!("{} {why}", path.display())))
}

/// Notes whether a server asked for a client certificate, which nothing else tells.
#[derive(Debug)]
pub(super) struct Asked {
    resolver: Arc<dyn ResolvesClientCert>,
    asked: AtomicBool,
}

impl Asked {
    /// A configuration for one connection that notes it.
    pub(super) fn noting(config: &ClientConfig) -> (Arc<Self>, Arc<ClientConfig>) {
        let asked = Arc::new(Self {
            resolver: Arc::clone(&config.client_auth_cert_resolver),
            asked: AtomicBool::new(false),
        });
        let mut config = config.clone();
        config.client_auth_cert_resolver = Arc::<Self>::clone(&asked);
        (asked, Arc::new(config))
    }

    /// Whether it did.
    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.resolver.resolve(issuers, schemes)
    }

    fn has_certs(&self) -> bool {
        self.resolver.has_certs()
    }
}

/// Accepts any certificate, as `--insecure-skip-tls-verify` asks for. Signatures of the handshake are still checked.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The date for which a certificate was refused: its expiry, or its beginning.
pub(super) fn date_of_refusal(error: &io::Error) -> Option<Validity> {
    match rustls_error(error)? {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            i64::try_from(not_after.as_secs()).ok().map(Validity::until)
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            i64::try_from(not_before.as_secs()).ok().map(Validity::from)
        }
        _ => None,
    }
}

fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether an I/O error is one of the TLS protocol.
pub(super) fn is_tls_error(error: &io::Error) -> bool {
    rustls_error(error).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str, text: &str) -> (tempfile::TempDir, TlsSettings) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let settings = TlsSettings {
            ca_file: Some(path),
            ..TlsSettings::default()
        };
        (folder, settings)
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_an_error_that_names_it() {
        let (_folder, settings) = settings("ca.pem", "not a certificate\n");
        let error = TlsFiles::new(settings).config(Alpn::Http1).unwrap_err();
        assert!(
            error.message.contains("ca.pem holds no PEM certificate"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let settings = TlsSettings {
            ca_file: Some("/nonexistent/ca.pem".into()),
            ..TlsSettings::default()
        };
        let error = TlsFiles::new(settings).config(Alpn::Http1).unwrap_err();
        assert!(error.message.contains("/nonexistent/ca.pem"), "{error}");
    }

    #[test]
    fn a_certificate_without_its_key_is_an_error() {
        let settings = TlsSettings {
            cert_file: Some("client.pem".into()),
            insecure_skip_verify: true,
            ..TlsSettings::default()
        };
        let error = TlsFiles::new(settings).config(Alpn::Http2).unwrap_err();
        assert!(error.message.contains("without key_file"), "{error}");
    }
}
