//! The file and its errors; what is kept when it changes.

use std::fs;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;
use crate::model::Value;

/// A folder with a certificate `server.crt`, its key `server.key`, another key `other.key` and a CA `ca.crt`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    fs::write(folder.path().join("server.crt"), &certificate).unwrap();
    fs::write(folder.path().join("ca.crt"), &certificate).unwrap();
    fs::write(folder.path().join("server.key"), key.serialize_pem()).unwrap();
    let other = KeyPair::generate().unwrap();
    fs::write(folder.path().join("other.key"), other.serialize_pem()).unwrap();
    for name in ["server.crt", "ca.crt", "server.key", "other.key"] {
        age(&folder.path().join(name), 100);
    }
    folder
}

/// The file with this text, in such a folder, written long ago.
fn write(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("web.yaml");
    fs::write(&path, text).unwrap();
    age(&path, 100);
    path
}

/// What is wrong with a text, with `FILE` for the file's name and `DIR/` for its folder.
fn errors(text: &str) -> String {
    let folder = folder();
    let path = write(&folder, text);
    let outcome = Protection::open(Some(&path)).map(|protection| protection.summary());
    let error = outcome.expect_err(text).to_string();
    let name = path.display().to_string();
    error
        .replace(&name, "FILE")
        .replace(&format!("{}/", folder.path().display()), "DIR/")
}

fn opened(text: &str) -> (TempDir, Protection) {
    let folder = folder();
    let path = write(&folder, text);
    let protection = Protection::open(Some(&path)).unwrap_or_else(|error| panic!("{text}\n{error}"));
    (folder, protection)
}

/// A section for TLS with more keys.
fn tls(more: &str) -> String {
    format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}")
}

const HASH: &str = "$2y$04$4gcqEGhhbGdOGAgAcXGEYeWBRIqDbXkPZeh6Mf5TbMrKWDLVqa5K2";

#[test]
fn what_is_accepted() {
    for (text, summary) in [
        ("", "plain HTTP"),
        ("# nothing yet\n", "plain HTTP"),
        ("tls_server_config: {}\nbasic_auth_users:\n", "plain HTTP"),
        ("rate_limit: {interval: 1s, burst: 20}\n", "plain HTTP"),
        ("rate_limit: {}\n", "plain HTTP"),
        (
            &format!("basic_auth_users: {{ann: {HASH}}}\n"),
            "plain HTTP, users",
        ),
        (&tls(""), "TLS"),
        (&tls("  client_auth_type: NoClientCert\n"), "TLS"),
        (&tls("  client_auth_type: RequestClientCert\n"), "TLS"),
        (
            &tls("  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [a]\n"),
            "TLS, client certificates",
        ),
        (
            &tls("  client_auth_type: RequireClientCert\n"),
            "TLS, client certificates",
        ),
        (
            &tls("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.crt\n"),
            "TLS",
        ),
        (
            &tls(
                "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: [a, 10.0.0.1]\n",
            ),
            "TLS, client certificates",
        ),
        (
            &tls(
                "  min_version: TLS12\n  max_version: TLS13\n  prefer_server_cipher_suites: false\n  \
                 cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]\n  \
                 curve_preferences: [CurveP384, X25519]\n",
            ),
            "TLS",
        ),
        (
            &format!(
                "{}http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: sameorigin\n    \
                 X-XSS-Protection: ''\nbasic_auth_users:\n  ann: {HASH}\n  bob: {HASH}\n",
                tls("")
            ),
            "TLS, users",
        ),
    ] {
        let (_folder, protection) = opened(text);
        assert_eq!(protection.summary(), summary, "{text}");
    }
}

#[test]
fn each_mistake_has_its_place_and_what_to_do() {
    let suites = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, \
                  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, \
                  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";
    for (text, expected) in [
        (
            "tls_server_confg: {}\n",
            "FILE:1:1: unknown field \"tls_server_confg\"; the fields here are tls_server_config, http_server_config, \
             basic_auth_users, rate_limit",
        ),
        (
            &tls("  cert_fle: x\n"),
            "FILE:4:3: unknown field \"cert_fle\"; the fields here are cert, cert_file,",
        ),
        (
            &tls("  cert_file: x\n"),
            "FILE:4:3: \"cert_file\" stands here twice",
        ),
        ("basic_auth_users: [a]\n", "FILE:1:19: a mapping"),
        ("- a\n", "FILE:1:1: "),
        ("a: [\n", "FILE:"),
        (
            "tls_server_config: {cert_file: server.crt}\n",
            "FILE:1:20: tls_server_config: key_file, or key with the text itself, is missing",
        ),
        (
            "tls_server_config: {min_version: TLS13}\n",
            "FILE:1:20: tls_server_config: cert_file, or cert with the text itself, is missing\nFILE:1:20: \
             tls_server_config: key_file,",
        ),
        (
            &tls("  cert: x\n"),
            "FILE:4:9: cert: give either cert or cert_file",
        ),
        (
            &tls("  min_version: TLS10\n"),
            "FILE:4:16: min_version: TLS10 is not spoken here, being broken; the oldest is TLS12",
        ),
        (
            &tls("  max_version: SSL3\n"),
            "FILE:4:16: max_version: \"SSL3\" is no version of TLS; those spoken here are TLS12, TLS13",
        ),
        (
            &tls("  min_version: TLS13\n  max_version: TLS12\n"),
            "FILE:4:16: min_version: is newer than max_version",
        ),
        (
            &tls("  cipher_suites:\n    - TLS_RSA_WITH_AES_128_CBC_SHA\n"),
            &format!(
                "FILE:5:7: cipher_suites: the cipher suite \"TLS_RSA_WITH_AES_128_CBC_SHA\" is not spoken here; those \
                 of TLS 1.2 are {suites}"
            ),
        ),
        (
            &tls("  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12\n"),
            "FILE: tls_server_config: cipher_suites and the versions leave nothing to speak: ",
        ),
        (
            &tls("  curve_preferences: [CurveP521]\n"),
            "FILE:4:23: curve_preferences: the curve \"CurveP521\" is not spoken here; those that are: X25519, \
             CurveP256, CurveP384",
        ),
        (
            &tls("  client_auth_type: Require\n"),
            "FILE:4:21: client_auth_type: \"Require\" is not known; it is one of NoClientCert, ",
        ),
        (
            &tls("  client_auth_type: RequireAndVerifyClientCert\n"),
            "FILE:4:21: client_auth_type: RequireAndVerifyClientCert needs client_ca_file, or client_ca",
        ),
        (
            &tls("  client_ca_file: ca.crt\n"),
            "FILE:4:19: client_ca: with client_auth_type NoClientCert no certificate is verified; say \
             RequireAndVerifyClientCert, or leave the CA out",
        ),
        (
            &tls(
                "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.crt\n  client_allowed_sans: [a]\n",
            ),
            "FILE:6:24: client_allowed_sans: needs client_auth_type RequireAndVerifyClientCert",
        ),
        (
            &tls("  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: []\n"),
            "FILE:5:24: client_allowed_sans: an empty list would refuse every client",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: other.key}\n",
            "FILE: tls_server_config: the certificate in cert_file DIR/server.crt and the key in key_file DIR/other.key \
             cannot be used together: ",
        ),
        (
            "tls_server_config: {cert_file: server.key, key_file: server.key}\n",
            "FILE: tls_server_config: cert_file DIR/server.key holds no PEM certificate",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key_file: server.crt}\n",
            "FILE: tls_server_config: no private key can be read from key_file DIR/server.crt: ",
        ),
        (
            "tls_server_config: {cert_file: server.crt, key: not a key}\n",
            "FILE: tls_server_config: no private key can be read from the text of key: ",
        ),
        (
            "tls_server_config: {cert_file: missing.crt, key_file: server.key}\n",
            "FILE: tls_server_config: cert_file DIR/missing.crt could not be read: No such file",
        ),
        (
            "http_server_config: {headers: {Server: x}}\n",
            "FILE:1:32: headers: \"Server\" cannot be set; those that can: Strict-Transport-Security, ",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: never}}\n",
            "FILE:1:32: headers: X-Frame-Options may be deny or sameorigin, and not \"never\"",
        ),
        (
            "http_server_config:\n  headers:\n    X-XSS-Protection: \"a\\nb\"\n",
            "FILE:3:5: headers: \"a\\nb\" cannot be the value of a header",
        ),
        (
            "basic_auth_users:\n  ann: hunter2\n",
            "FILE:2:3: basic_auth_users: the user \"ann\": what is expected here is a hash by bcrypt",
        ),
        (
            &format!("basic_auth_users: {{'a:b': {HASH}}}\n"),
            "FILE:1:20: basic_auth_users: the user \"a:b\" could never log in",
        ),
        (
            "rate_limit: {interval: soon, burst: 1}\n",
            "FILE:1:24: rate_limit.interval: \"soon\" is not a duration",
        ),
        (
            "rate_limit: {interval: 1s}\n",
            "FILE:1:13: rate_limit.burst: must be 1 or more",
        ),
        ("rate_limit: {interval: 1s, burst: -1}\n", "FILE:1:35: "),
    ] {
        let found = errors(text);
        assert!(
            found.starts_with(expected),
            "{text}\n{found}\nexpected\n{expected}"
        );
    }
}

#[test]
fn no_secret_is_in_an_error() {
    let key = "-----BEGIN PRIVATE KEY-----\n    c2VjcmV0\n    -----END PRIVATE KEY-----\n";
    for text in [
        format!("tls_server_config:\n  cert_file: server.crt\n  key: |\n    {key}"),
        format!("tls_server_config:\n  cert_file: server.crt\n  nonsense: 1\n  key: |\n    {key}"),
        "basic_auth_users:\n  ann: [c2VjcmV0]\n".to_owned(),
        "basic_auth_users:\n  ann: c2VjcmV0\n".to_owned(),
        "basic_auth_users: c2VjcmV0\n".to_owned(),
    ] {
        let found = errors(&text);
        assert!(!found.contains("c2VjcmV0"), "{found}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Protection::open(Some(Path::new("/nonexistent/web.yaml")))
        .map(|protection| protection.summary())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nonexistent/web.yaml: could not be read: No such file or directory (os error 2)"
    );
}

#[test]
fn texts_in_the_file_serve_as_well_as_files() {
    let folder = folder();
    let indented = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        text.lines()
            .map(|line| format!("    {line}\n"))
            .collect::<String>()
    };
    let text = format!(
        "tls_server_config:\n  client_auth_type: RequireAndVerifyClientCert\n  cert: |\n{}  key: |\n{}  client_ca: |\n{}",
        indented("server.crt"),
        indented("server.key"),
        indented("ca.crt")
    );
    let protection = Protection::open(Some(&write(&folder, &text))).unwrap();
    assert_eq!(protection.summary(), "TLS, client certificates");
}

/// A time so long ago that nobody is writing any more.
fn age(path: &Path, seconds: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
        .unwrap();
}

fn value(protection: &Protection, name: &str) -> Option<f64> {
    let samples = protection.samples();
    let sample = samples.iter().find(|sample| sample.desc.name.contains(name))?;
    match sample.value {
        Value::Number(value) => Some(value),
        Value::Histogram(_) => None,
    }
}

#[test]
fn a_changed_file_is_taken_once_it_is_left_alone() {
    let (folder, protection) = opened("http_server_config: {headers: {X-XSS-Protection: one}}\n");
    let header = || protection.current().headers[0].1.clone();
    let path = write(
        &folder,
        "http_server_config: {headers: {X-XSS-Protection: second}}\n",
    );
    age(&path, 0);
    assert_eq!(header(), "one", "somebody may still be writing");
    age(&path, 2);
    assert_eq!(header(), "second");
    assert_eq!(value(&protection, "reload_successful"), Some(1.0));
}

#[test]
fn a_broken_file_leaves_the_old_settings_in_force_and_is_counted_once() {
    let (folder, protection) = opened(&format!("basic_auth_users: {{ann: {HASH}}}\n"));
    let path = write(&folder, "basic_auth_users: {ann: oops}\n");
    age(&path, 10);
    for _ in 0..3 {
        assert!(protection.current().users.is_some());
    }
    assert_eq!(value(&protection, "reload_successful"), Some(0.0));
    assert_eq!(value(&protection, "reload_failures"), Some(1.0));
    let path = write(&folder, &format!("basic_auth_users: {{bob: {HASH}}}\n"));
    age(&path, 20);
    protection.current();
    assert_eq!(value(&protection, "reload_successful"), Some(1.0));
    assert_eq!(value(&protection, "reload_failures"), Some(1.0));
}

#[test]
fn a_changed_certificate_is_taken_and_half_of_a_change_is_not() {
    let (folder, protection) = opened(&tls(""));
    let before = protection.current().tls.clone().unwrap();
    let new = self::folder();
    let replace = |name: &str| {
        let path = folder.path().join(name);
        fs::copy(new.path().join(name), &path).unwrap();
        age(&path, 10);
    };
    replace("server.crt");
    assert!(Arc::ptr_eq(&before, protection.current().tls.as_ref().unwrap()));
    assert_eq!(value(&protection, "reload_failures"), Some(1.0));
    replace("server.key");
    assert!(!Arc::ptr_eq(&before, protection.current().tls.as_ref().unwrap()));
    assert_eq!(value(&protection, "reload_successful"), Some(1.0));
}

#[test]
fn protection_is_not_taken_away_from_a_server_that_runs() {
    let verified = tls("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n");
    let users = format!("basic_auth_users: {{ann: {HASH}}}\n");
    for (before, after, words) in [
        (
            users.clone(),
            String::new(),
            "authentication by users would be switched off",
        ),
        (tls(""), String::new(), "TLS would be switched off"),
        (
            verified.clone(),
            tls(""),
            "client certificates would no longer be asked for",
        ),
        (
            verified.clone(),
            tls("  client_auth_type: RequireAnyClientCert\n"),
            "client certificates would no longer be verified",
        ),
        (
            format!("{verified}  client_allowed_sans: [a]\n"),
            verified.clone(),
            "client certificates of any name would be let in",
        ),
    ] {
        let (folder, protection) = opened(&before);
        let summary = protection.summary();
        write(&folder, &after);
        let error = protection.reload().unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("restart"), "{error}");
        assert_eq!(protection.summary(), summary);
    }
    // More is no matter, and neither are other names.
    let (folder, protection) = opened(&users);
    for names in [
        "",
        "  client_allowed_sans: [a]\n",
        "  client_allowed_sans: [b, c]\n",
    ] {
        write(&folder, &format!("{verified}{names}{users}"));
        protection.reload().unwrap();
        assert_eq!(protection.summary(), "TLS, client certificates, users");
    }
}

mod over_http {
    //! The gate, asked through all routes.

    use axum::http::StatusCode;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::super::super::fixtures::{Api, snapshot};
    use super::*;

    fn api(text: &str) -> (TempDir, Api) {
        let (folder, protection) = opened(text);
        let mut api = Api::of([snapshot("etcd")]);
        api.state.protection = Arc::new(protection);
        (folder, api)
    }

    fn basic(user: &str, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    }

    #[tokio::test]
    async fn every_route_asks_for_a_user() {
        let hash = bcrypt::hash("pass:word", 4).unwrap();
        let (_folder, api) = api(&format!("basic_auth_users: {{ann: {hash}}}\n"));
        for path in ["/", "/metrics", "/-/healthy", "/api/v1/diagnosis", "/nowhere"] {
            let answer = api.get(path).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(
                answer.header("www-authenticate"),
                r#"Basic realm="etcd-doctor", charset="UTF-8""#
            );
            assert_eq!(answer.json()["errorType"], "unauthorized");
        }
        for (header, status) in [
            (basic("ann", "pass:word"), 200),
            (basic("ann", "pass:word").replacen("Basic", "basic", 1), 200),
            (basic("ann", "pass"), 401),
            (basic("bob", "pass:word"), 401),
            ("Basic !".to_owned(), 401),
            (format!("Basic {}", STANDARD.encode("ann")), 401),
            (basic("ann", "pass:word").replacen("Basic", "Bearer", 1), 401),
        ] {
            let answer = api.ask("/-/healthy", &[("authorization", &header)]).await;
            assert_eq!(answer.status, status, "{header}");
        }
        let page = api
            .ask("/metrics", &[("authorization", &basic("ann", "pass:word"))])
            .await;
        assert!(
            page.body
                .contains("etcd_doctor_http_requests_total{route=\"/-/healthy\",code=\"401\"}"),
            "{}",
            page.body
        );
    }

    #[tokio::test]
    async fn more_requests_than_the_rate_are_refused() {
        let (_folder, api) = api("rate_limit: {interval: 1h, burst: 2}\n");
        assert_eq!(api.get("/-/healthy").await.status, 200);
        assert_eq!(api.get("/metrics").await.status, 200);
        let answer = api.get("/-/healthy").await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.json()["errorType"], "too_many_requests");
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((3500..=3600).contains(&wait), "{wait}");
    }

    #[tokio::test]
    async fn headers_of_the_file_are_on_every_answer_instead_of_ours() {
        let (_folder, api) = api(
            "http_server_config: {headers: {X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=60, \
             Content-Security-Policy: default-src 'self'}}\n",
        );
        for path in ["/", "/metrics", "/nowhere"] {
            let answer = api.get(path).await;
            for (name, value) in [
                ("x-frame-options", "sameorigin"),
                ("strict-transport-security", "max-age=60"),
                ("content-security-policy", "default-src 'self'"),
                ("x-content-type-options", "nosniff"),
            ] {
                assert_eq!(answer.header(name), value, "{path} {name}");
            }
        }
    }

    #[tokio::test]
    async fn without_a_file_there_are_no_series_of_it() {
        let page = Api::of([snapshot("etcd")]).get("/metrics").await.body;
        assert!(!page.contains("web_config") && !page.contains("handshake_failures"));
        let (_folder, api) = api(&tls(""));
        let page = api.get("/metrics").await.body;
        assert!(
            page.contains("\netcd_doctor_web_config_last_reload_successful 1\n"),
            "{page}"
        );
        assert!(
            page.contains("\netcd_doctor_tls_handshake_failures_total 0\n"),
            "{page}"
        );
    }
}
