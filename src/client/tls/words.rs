//! The words of TLS failures: what is wrong with whose certificate, and what to do.

use std::io;

use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::UnixTime;

use super::{TlsSettings, rustls_error};
use crate::client::endpoint::Endpoint;
use crate::model::{CollectError, Reason, Timestamp};

/// The words of a TLS failure, of the handshake or after it.
pub(in crate::client) fn tls_failure(
    endpoint: &Endpoint,
    settings: &TlsSettings,
    error: &io::Error,
) -> CollectError {
    let (why, fix) = match rustls_error(error) {
        Some(rustls::Error::InvalidCertificate(certificate)) => {
            invalid_certificate(endpoint, settings, certificate)
        }
        Some(rustls::Error::AlertReceived(alert)) => refused(settings, *alert),
        Some(rustls::Error::InvalidMessage(_)) => plaintext("it answers with something that is not TLS"),
        Some(rustls::Error::PeerIncompatible(why)) => (
            format!("no TLS version or cipher in common: {why:?}"),
            "let etcd serve TLS 1.2 or 1.3 with a modern cipher suite".into(),
        ),
        Some(other) => (
            other.to_string(),
            "check the member's certificates and TLS settings".into(),
        ),
        None if matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        ) =>
        {
            plaintext("it closed the connection during the TLS handshake")
        }
        None => (
            format!("the TLS handshake failed: {error}"),
            "check the member's certificates and TLS settings".into(),
        ),
    };
    CollectError {
        reason: Reason::Tls,
        message: format!("cannot talk TLS with {endpoint}: {why}"),
        fix,
    }
}

fn plaintext(what: &str) -> (String, String) {
    (
        format!("{what}, as a server that serves plain text does"),
        "write the endpoint with http://, if the member does not serve TLS".into(),
    )
}

fn invalid_certificate(
    endpoint: &Endpoint,
    settings: &TlsSettings,
    error: &CertificateError,
) -> (String, String) {
    let name = settings.server_name.as_deref().unwrap_or(endpoint.host());
    let renew =
        "renew the member's certificate: etcd takes new files on the next handshake, without a restart";
    match error {
        CertificateError::UnknownIssuer => match &settings.ca_file {
            Some(path) => (
                format!("its certificate is not signed by a CA in {}", path.display()),
                "give the CA that signed the members' certificates as ca_file (--cacert)".into(),
            ),
            None => (
                "its certificate is not signed by a CA that this system trusts".into(),
                "give the CA that signed the members' certificates as ca_file (--cacert)".into(),
            ),
        },
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().map(|name| bare_name(name)).collect();
            let valid = if names.is_empty() {
                "for no name at all".to_owned()
            } else {
                format!("for {}", names.join(", "))
            };
            (
                format!("its certificate is valid {valid}, not for {name}"),
                "use one of those names in the endpoint or as tls.server_name, or add this one to the certificate".into(),
            )
        }
        CertificateError::NotValidForName => (
            format!("its certificate is not valid for {name}"),
            "use a name of the certificate in the endpoint or as tls.server_name".into(),
        ),
        CertificateError::ExpiredContext { not_after, .. } => (
            format!("its certificate expired at {}", rfc3339(*not_after)),
            renew.into(),
        ),
        CertificateError::Expired => ("its certificate has expired".into(), renew.into()),
        CertificateError::NotValidYetContext { not_before, .. } => (
            format!("its certificate is not valid before {}", rfc3339(*not_before)),
            "check the clocks of this host and of the one that issued the certificate".into(),
        ),
        CertificateError::NotValidYet => (
            "its certificate is not valid yet".into(),
            "check the clocks of this host and of the one that issued the certificate".into(),
        ),
        other => (
            format!("its certificate is not acceptable: {other}"),
            "renew the member's certificate with the server's purpose and its names".into(),
        ),
    }
}

/// The other side ended the handshake with an alert.
fn refused(settings: &TlsSettings, alert: AlertDescription) -> (String, String) {
    let ours = settings.has_client_certificate();
    let why = match alert {
        AlertDescription::CertificateRequired => "it requires a client certificate",
        AlertDescription::BadCertificate if !ours => "it requires a client certificate",
        AlertDescription::UnknownCA => "it does not know the CA of our client certificate",
        AlertDescription::CertificateExpired => "our client certificate has expired",
        AlertDescription::BadCertificate | AlertDescription::UnsupportedCertificate => {
            "it does not accept our client certificate (is it for client authentication?)"
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            "no TLS version or cipher in common"
        }
        _ => {
            return (
                format!("it ended TLS with the alert {alert:?}"),
                "see etcd's log for `rejected connection`".into(),
            );
        }
    };
    let fix = if ours {
        "give a client certificate that is signed by the CA in etcd's --trusted-ca-file, has not expired and allows \
         client authentication; etcd's log says why it was refused (`rejected connection`)"
    } else {
        "give a client certificate and its key (cert_file and key_file, --cert and --key)"
    };
    (why.into(), fix.into())
}

/// `DnsName("localhost")` as rustls prints it, without the wrapping.
fn bare_name(presented: &str) -> &str {
    presented
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .map_or(presented, |inner| inner.trim_matches('"'))
}

fn rfc3339(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 1000);
    Timestamp::from_millis(seconds.saturating_mul(1000)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_library_s_wrapping() {
        assert_eq!(bare_name("DnsName(\"localhost\")"), "localhost");
        assert_eq!(bare_name("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(bare_name("plain"), "plain");
    }
}
