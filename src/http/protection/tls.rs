//! From what the file says of TLS to rustls' configuration.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::clients;
use super::file::{self, Pem, Tls};
use super::names::SUITES_13;

/// The protocols that are spoken inside.
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Reads the certificates and makes a configuration.
///
/// # Errors
/// Which file or text cannot be used, and why; no part of a key.
pub(super) fn build(tls: &Tls, http2: bool) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider(tls));
    let roots = roots(tls.client_ca.as_ref())?;
    let verifier = clients::verifier(tls.auth, roots, &tls.allowed_sans, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&tls.versions)
        .map_err(|error| format!("cipher_suites and the versions leave nothing to speak: {error}"))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_slice(text("key", &tls.key)?.as_bytes()).map_err(|error| {
        format!(
            "no private key can be read from {}: {error}",
            place("key", &tls.key)
        )
    })?;
    let chain = certificates("cert", &tls.cert)?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        format!(
            "the certificate in {} and the key in {} cannot be used together: {error}",
            place("cert", &tls.cert),
            place("key", &tls.key)
        )
    })?;
    config.ignore_client_order = tls.prefers_own_order;
    let protocols: &[&[u8]] = match http2 {
        true => &[HTTP2, HTTP1],
        false => &[HTTP1],
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Whether a handshake settled on HTTP/2.
pub(in super::super) fn is_http2(alpn: Option<&[u8]>) -> bool {
    alpn == Some(HTTP2)
}

/// ring's algorithms, as far as they are wanted.
fn provider(tls: &Tls) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if let Some(suites) = &tls.suites {
        let always = SUITES_13.iter().map(|(_, suite)| *suite);
        provider.cipher_suites = always.chain(suites.iter().copied()).collect();
    }
    if let Some(curves) = &tls.curves {
        provider.kx_groups.clone_from(curves);
    }
    provider
}

fn roots(client_ca: Option<&Pem>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(client_ca) = client_ca else {
        return Ok(roots);
    };
    for certificate in certificates("client_ca", client_ca)? {
        roots.add(certificate).map_err(|error| {
            format!(
                "a certificate in {} is no usable CA: {error}",
                place("client_ca", client_ca)
            )
        })?;
    }
    Ok(roots)
}

fn certificates(key: &str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = text(key, pem)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{} is not valid PEM: {error}", place(key, pem)))?;
    if found.is_empty() {
        return Err(format!("{} holds no PEM certificate", place(key, pem)));
    }
    Ok(found)
}

fn text(key: &str, pem: &Pem) -> Result<String, String> {
    match pem {
        Pem::Inline(text) => Ok(text.clone()),
        Pem::File(path) => file::read_limited(path).map_err(|why| format!("{} {why}", place(key, pem))),
    }
}

/// What to call it in a message.
fn place(key: &str, pem: &Pem) -> String {
    match pem {
        Pem::Inline(_) => format!("the text of {key}"),
        Pem::File(path) => format!("{key}_file {}", path.display()),
    }
}
