//! Handshakes with what the file says: who is let in, and what is spoken.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// An authority with `ca.crt`, `server.crt` and `server.key` in a folder.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.crt"), certificate.pem()).unwrap();
        let authority = Self {
            folder,
            issuer: Issuer::new(params, key),
        };
        let (certificate, key) = authority.pem(vec![SanType::DnsName("localhost".try_into().unwrap())]);
        fs::write(authority.folder.path().join("server.crt"), certificate).unwrap();
        fs::write(authority.folder.path().join("server.key"), key).unwrap();
        authority
    }

    fn pem(&self, names: Vec<SanType>) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn issue(&self, names: Vec<SanType>) -> Identity {
        let (certificate, key) = self.pem(names);
        (
            CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap(),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
    }

    /// A server with more lines in its section.
    fn server(&self, more: &str) -> Arc<ServerConfig> {
        let path = self.folder.path().join("web.yaml");
        let text = format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}");
        fs::write(&path, &text).unwrap();
        let protection = Protection::open(Some(&path)).unwrap_or_else(|error| panic!("{text}\n{error}"));
        protection.current().tls.clone().unwrap()
    }

    fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<Identity>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.folder.path().join("ca.crt")).unwrap();
        roots.add(ca).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}

/// What a client and a server settle on, as the client has it; the server's words where it refuses.
async fn shake_hands(server: Arc<ServerConfig>, client: ClientConfig) -> Result<ClientConnection, String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let name = ServerName::try_from("localhost").unwrap();
    let accept = TlsAcceptor::from(server).accept(far);
    let connect = TlsConnector::from(Arc::new(client)).connect(name, near);
    let (accepted, connected) = tokio::join!(accept, connect);
    accepted.map_err(|error| error.to_string())?;
    Ok(connected.map_err(|error| error.to_string())?.into_inner().1)
}

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

#[tokio::test]
async fn each_type_lets_in_whom_it_should() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let name = || vec![SanType::DnsName("prometheus.example".try_into().unwrap())];
    let verifying = "  client_ca_file: ca.crt\n";
    // With no certificate, with one that we signed, with one that somebody else signed.
    for (auth, more, expected) in [
        ("NoClientCert", "", [true, true, true]),
        ("RequestClientCert", "", [true, true, true]),
        ("RequireAnyClientCert", "", [false, true, true]),
        ("RequireClientCert", "", [false, true, true]),
        ("VerifyClientCertIfGiven", verifying, [true, true, false]),
        ("RequireAndVerifyClientCert", verifying, [false, true, false]),
    ] {
        let server = ours.server(&format!("  client_auth_type: {auth}\n{more}"));
        for version in BOTH {
            let identities = [None, Some(ours.issue(name())), Some(theirs.issue(name()))];
            for (identity, expected) in identities.into_iter().zip(expected) {
                let outcome = shake_hands(server.clone(), ours.client(&[version], identity)).await;
                assert_eq!(outcome.is_ok(), expected, "{auth} {version:?}: {outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn one_allowed_name_of_any_kind_is_enough() {
    let authority = Authority::new();
    let server = authority.server(
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: [a.example, \
         10.0.0.1, 'fd00::1', m@a.example, 'spiffe://a/b']\n",
    );
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    for (names, expected) in [
        (vec![dns("a.example")], true),
        (vec![dns("b.example"), dns("a.example")], true),
        (vec![SanType::IpAddress([10, 0, 0, 1].into())], true),
        (vec![SanType::IpAddress("fd00::1".parse().unwrap())], true),
        (vec![SanType::Rfc822Name("m@a.example".try_into().unwrap())], true),
        (vec![SanType::URI("spiffe://a/b".try_into().unwrap())], true),
        (vec![dns("b.example")], false),
        (vec![dns("sub.a.example")], false),
        (Vec::new(), false),
    ] {
        let client = authority.client(&BOTH, Some(authority.issue(names.clone())));
        let outcome = shake_hands(server.clone(), client).await;
        assert_eq!(outcome.is_ok(), expected, "{names:?}: {outcome:?}");
        if let (Err(error), [SanType::DnsName(name)]) = (outcome, &names[..]) {
            assert!(
                error.contains(name.as_str()) && error.contains("client_allowed_sans"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn versions_suites_curves_and_protocols_are_those_of_the_file() {
    use rustls::CipherSuite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    };
    let authority = Authority::new();
    let talk = async |more: &str, versions: &[&'static SupportedProtocolVersion]| {
        shake_hands(authority.server(more), authority.client(versions, None)).await
    };
    let settled = talk("", &BOTH).await.unwrap();
    assert_eq!(settled.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert!(is_http2(settled.alpn_protocol()));
    let settled = talk("  max_version: TLS12\n", &BOTH).await.unwrap();
    assert_eq!(settled.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    assert!(talk("  min_version: TLS13\n", &BOTH[..1]).await.is_err());

    let suites = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, \
                  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n";
    let suite = async |more: &str| {
        let settled = talk(&format!("{suites}{more}"), &BOTH[..1]).await.unwrap();
        settled.negotiated_cipher_suite().unwrap().suite()
    };
    assert_eq!(suite("").await, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256);
    let clients = suite("  prefer_server_cipher_suites: false\n").await;
    assert_eq!(clients, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);

    let settled = talk("  curve_preferences: [CurveP384]\n", &BOTH).await.unwrap();
    let curve = settled.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(curve, rustls::NamedGroup::secp384r1);

    let settled = talk("http_server_config: {http2: false}\n", &BOTH).await.unwrap();
    assert!(!is_http2(settled.alpn_protocol()));
}
