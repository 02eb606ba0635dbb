//! What Go calls versions, cipher suites and curves, and what of it is spoken here.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite as suite, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

/// The cipher suites of TLS 1.2 that are spoken here.
const SUITES: [(&str, SupportedCipherSuite); 6] = [
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// Those of TLS 1.3, which are always on, as in Go, whether or not a list names them.
pub(super) const SUITES_13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        suite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
];

/// A version of TLS, the older first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    /// All from one to another, both included.
    pub(super) fn range(from: Self, to: Self) -> Vec<&'static SupportedProtocolVersion> {
        let all = [(Self::Tls13, &TLS13), (Self::Tls12, &TLS12)];
        let within = all
            .into_iter()
            .filter(|(version, _)| (from..=to).contains(version));
        within.map(|(_, version)| version).collect()
    }
}

/// # Errors
/// What is spoken here instead.
pub(super) fn version(name: &str) -> Result<Version, String> {
    match name {
        "TLS12" => Ok(Version::Tls12),
        "TLS13" => Ok(Version::Tls13),
        "TLS10" | "TLS11" => Err(format!(
            "{name} is not spoken here, being broken; the oldest is TLS12"
        )),
        _ => Err(format!(
            "{name:?} is no version of TLS; those spoken here are TLS12, TLS13"
        )),
    }
}

/// A cipher suite; none where TLS 1.3 has it anyway.
///
/// # Errors
/// What is spoken here instead.
pub(super) fn cipher_suite(name: &str) -> Result<Option<SupportedCipherSuite>, String> {
    if SUITES_13.iter().any(|(known, _)| *known == name) {
        return Ok(None);
    }
    let known = SUITES.iter().find(|(known, _)| *known == name);
    known.map(|(_, suite)| Some(*suite)).ok_or_else(|| {
        let known: Vec<&str> = SUITES.iter().map(|(name, _)| *name).collect();
        format!(
            "the cipher suite {name:?} is not spoken here; those of TLS 1.2 are {}",
            known.join(", ")
        )
    })
}

/// # Errors
/// What is spoken here instead.
pub(super) fn curve(name: &str) -> Result<&'static dyn SupportedKxGroup, String> {
    match name {
        "X25519" => Ok(kx_group::X25519),
        "CurveP256" => Ok(kx_group::SECP256R1),
        "CurveP384" => Ok(kx_group::SECP384R1),
        _ => Err(format!(
            "the curve {name:?} is not spoken here; those that are: X25519, CurveP256, CurveP384"
        )),
    }
}
