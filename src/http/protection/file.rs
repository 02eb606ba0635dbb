//! The file: its shape, and everything that is refused in it.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use rustls::crypto::SupportedKxGroup;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::names::{self, Version};
use super::pace::Rate;
use super::users;
use crate::promql::duration;
use crate::rules::yaml::{self, Pairs};

/// The largest file that is read: thousands of users, or a long chain of certificates.
const FILE_LIMIT: u64 = 1 << 20;

/// The headers that may be set, and the values that each may have; any where none is listed. As in the toolkit, so that
/// a file works for all programs alike.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

/// A file that was checked.
pub(super) struct File {
    pub(super) tls: Option<Tls>,
    pub(super) http2: bool,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Names, and hashes by bcrypt that can be checked.
    pub(super) users: Vec<(String, String)>,
    pub(super) rate: Option<Rate>,
}

/// What it says of TLS.
pub(super) struct Tls {
    pub(super) cert: Pem,
    pub(super) key: Pem,
    pub(super) client_ca: Option<Pem>,
    pub(super) auth: ClientAuth,
    pub(super) allowed_sans: Vec<String>,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    /// Those of TLS 1.2, in the order of preference; none: all.
    pub(super) suites: Option<Vec<SupportedCipherSuite>>,
    /// In the order of preference; none: all.
    pub(super) curves: Option<Vec<&'static dyn SupportedKxGroup>>,
    pub(super) prefers_own_order: bool,
}

/// Where a PEM text is.
pub(super) enum Pem {
    Inline(String),
    File(PathBuf),
}

/// What clients are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ClientAuth {
    None,
    Request,
    RequireAny,
    VerifyIfGiven,
    RequireAndVerify,
}

impl ClientAuth {
    fn named(name: &str) -> Option<Self> {
        match name {
            "" | "NoClientCert" => Some(Self::None),
            "RequestClientCert" => Some(Self::Request),
            // The second is what the toolkit once called it.
            "RequireAnyClientCert" | "RequireClientCert" => Some(Self::RequireAny),
            "VerifyClientCertIfGiven" => Some(Self::VerifyIfGiven),
            "RequireAndVerifyClientCert" => Some(Self::RequireAndVerify),
            _ => None,
        }
    }

    /// Whether a client without a certificate is refused.
    pub(super) const fn demands(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }

    /// Whether a certificate must be signed by the client CA.
    pub(super) const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

impl Tls {
    /// The files that it names.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let all = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        let files = all.into_iter().flatten().filter_map(|pem| match pem {
            Pem::File(path) => Some(path.clone()),
            Pem::Inline(_) => None,
        });
        files.collect()
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawFile {
    tls_server_config: Option<Spanned<RawTls>>,
    http_server_config: Option<RawHttp>,
    basic_auth_users: Option<Pairs>,
    rate_limit: Option<Spanned<RawRate>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawTls {
    cert: Option<Spanned<String>>,
    cert_file: Option<Spanned<String>>,
    key: Option<Spanned<String>>,
    key_file: Option<Spanned<String>>,
    client_ca: Option<Spanned<String>>,
    client_ca_file: Option<Spanned<String>>,
    client_auth_type: Option<Spanned<String>>,
    client_allowed_sans: Option<Spanned<Vec<String>>>,
    min_version: Option<Spanned<String>>,
    max_version: Option<Spanned<String>>,
    cipher_suites: Option<Spanned<Vec<Spanned<String>>>>,
    prefer_server_cipher_suites: Option<bool>,
    curve_preferences: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawHttp {
    http2: Option<bool>,
    headers: Option<Pairs>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawRate {
    interval: Option<Spanned<String>>,
    burst: Option<Spanned<u32>>,
}

/// Reads a text file that is no longer than such a file can be.
///
/// # Errors
/// In words, without the path.
pub(super) fn read_limited(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("could not be read: {error}"))?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(format!("is larger than {FILE_LIMIT} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is no text in UTF-8".to_owned())
}

/// Checks a file's text. `name` is how its places are called, `folder` where relative paths start.
///
/// # Errors
/// All that is wrong with it; when it has not the shape of such a file, the first thing only. No secret is in them.
pub(super) fn parse(name: &str, text: &str, folder: &Path) -> Result<File, Vec<String>> {
    let mut check = Check {
        name,
        folder,
        errors: Vec::new(),
    };
    let options = serde_saphyr::options! { with_snippet: false };
    let raw: Option<RawFile> =
        serde_saphyr::from_str_with_options(text, options).unwrap_or_else(|error: serde_saphyr::Error| {
            let (at, why) = yaml::refused(&error);
            check.refuse(at, "", why);
            None
        });
    let raw = raw.unwrap_or_default();
    let http = raw.http_server_config.unwrap_or_default();
    let file = File {
        tls: raw.tls_server_config.and_then(|tls| check.tls(tls)),
        http2: http.http2.unwrap_or(true),
        headers: check.headers(http.headers.unwrap_or_default()),
        users: check.users(raw.basic_auth_users.unwrap_or_default()),
        rate: raw.rate_limit.and_then(|rate| check.rate(rate)),
    };
    match check.errors.is_empty() {
        true => Ok(file),
        false => Err(check.errors),
    }
}

/// Goes through a file and collects what is wrong.
struct Check<'a> {
    name: &'a str,
    folder: &'a Path,
    errors: Vec<String>,
}

impl Check<'_> {
    fn refuse(&mut self, at: Location, key: &str, why: impl fmt::Display) {
        let mut place = self.name.to_owned();
        // The reader counts from 1; 0 is a place that it does not know.
        if at.line() > 0 {
            place = format!("{place}:{}:{}", at.line(), at.column());
        }
        let key = match key {
            "" => String::new(),
            key => format!("{key}: "),
        };
        self.errors.push(format!("{place}: {key}{why}"));
    }

    /// None where the section is empty, which is as if it was not there.
    fn tls(&mut self, section: Spanned<RawTls>) -> Option<Tls> {
        let (at, raw) = (section.referenced, section.value);
        let is_empty = raw.cert.is_none()
            && raw.cert_file.is_none()
            && raw.key.is_none()
            && raw.key_file.is_none()
            && raw.client_ca.is_none()
            && raw.client_ca_file.is_none()
            && raw.client_auth_type.is_none()
            && raw.client_allowed_sans.is_none()
            && raw.min_version.is_none()
            && raw.max_version.is_none()
            && raw.cipher_suites.is_none()
            && raw.prefer_server_cipher_suites.is_none()
            && raw.curve_preferences.is_none();
        if is_empty {
            return None;
        }
        let cert = self.pem("cert", raw.cert, raw.cert_file);
        let key = self.pem("key", raw.key, raw.key_file);
        for (pem, key) in [(&cert, "cert"), (&key, "key")] {
            if pem.is_none() {
                self.refuse(
                    at,
                    "tls_server_config",
                    format!("{key}_file, or {key} with the text itself, is missing"),
                );
            }
        }
        let client_ca_at = raw.client_ca.as_ref().or(raw.client_ca_file.as_ref());
        let client_ca_at = client_ca_at.map_or(at, |text| text.referenced);
        let client_ca = self.pem("client_ca", raw.client_ca, raw.client_ca_file);
        let auth = self.auth(raw.client_auth_type, client_ca.is_some(), client_ca_at, at);
        let allowed_sans = self.sans(raw.client_allowed_sans, auth);
        let versions = self.versions(raw.min_version, raw.max_version);
        let suites = raw.cipher_suites.and_then(|list| self.suites(list));
        let curves = raw.curve_preferences.filter(|list| !list.is_empty());
        let curves = curves.map(|list| self.all("curve_preferences", list, names::curve));
        Some(Tls {
            cert: cert?,
            key: key?,
            client_ca,
            auth,
            allowed_sans,
            versions,
            suites,
            curves,
            prefers_own_order: raw.prefer_server_cipher_suites.unwrap_or(true),
        })
    }

    /// A PEM text, given here or in a file; an empty text is none.
    fn pem(
        &mut self,
        key: &str,
        inline: Option<Spanned<String>>,
        file: Option<Spanned<String>>,
    ) -> Option<Pem> {
        let given = |text: &Spanned<String>| !text.value.is_empty();
        match (inline.filter(given), file.filter(given)) {
            (Some(inline), Some(_)) => {
                let why = format!("give either {key} or {key}_file");
                self.refuse(inline.referenced, key, why);
                None
            }
            (Some(inline), None) => Some(Pem::Inline(inline.value)),
            (None, Some(file)) => Some(Pem::File(self.folder.join(file.value))),
            (None, None) => None,
        }
    }

    fn auth(
        &mut self,
        name: Option<Spanned<String>>,
        has_ca: bool,
        ca_at: Location,
        section_at: Location,
    ) -> ClientAuth {
        const KEY: &str = "client_auth_type";
        let (text, at) = name.map_or((String::new(), section_at), |name| (name.value, name.referenced));
        let Some(auth) = ClientAuth::named(&text) else {
            let why = format!(
                "{text:?} is not known; it is one of NoClientCert, RequestClientCert, RequireAnyClientCert, \
                 VerifyClientCertIfGiven, RequireAndVerifyClientCert"
            );
            self.refuse(at, KEY, why);
            return ClientAuth::None;
        };
        if auth.verifies() && !has_ca {
            let why = format!(
                "{text} needs client_ca_file, or client_ca with the text itself: without, any public CA could vouch \
                 for a client"
            );
            self.refuse(at, KEY, why);
        }
        if has_ca && !auth.verifies() {
            let what = if text.is_empty() { "NoClientCert" } else { &text };
            let why = format!(
                "with client_auth_type {what} no certificate is verified; say RequireAndVerifyClientCert, or leave \
                 the CA out"
            );
            self.refuse(ca_at, "client_ca", why);
        }
        auth
    }

    fn sans(&mut self, list: Option<Spanned<Vec<String>>>, auth: ClientAuth) -> Vec<String> {
        const KEY: &str = "client_allowed_sans";
        let Some(list) = list else {
            return Vec::new();
        };
        if list.value.is_empty() {
            self.refuse(list.referenced, KEY, "an empty list would refuse every client");
        }
        if !auth.demands() {
            let why = "needs client_auth_type RequireAndVerifyClientCert (or RequireAnyClientCert): a client may \
                       show no certificate otherwise";
            self.refuse(list.referenced, KEY, why);
        }
        list.value
    }

    fn versions(
        &mut self,
        min: Option<Spanned<String>>,
        max: Option<Spanned<String>>,
    ) -> Vec<&'static SupportedProtocolVersion> {
        let at = min.as_ref().or(max.as_ref()).map(|text| text.referenced);
        let mut one = |key, text: Option<Spanned<String>>, default| match text {
            None => default,
            Some(text) => names::version(&text.value).unwrap_or_else(|why| {
                self.refuse(text.referenced, key, why);
                default
            }),
        };
        let from = one("min_version", min, Version::Tls12);
        let to = one("max_version", max, Version::Tls13);
        if let Some(at) = at.filter(|_| from > to) {
            self.refuse(at, "min_version", "is newer than max_version");
        }
        Version::range(from, to)
    }

    fn suites(&mut self, list: Spanned<Vec<Spanned<String>>>) -> Option<Vec<SupportedCipherSuite>> {
        if list.value.is_empty() {
            return None;
        }
        let suites = self.all("cipher_suites", list.value, names::cipher_suite);
        Some(suites.into_iter().flatten().collect())
    }

    fn all<T>(
        &mut self,
        key: &str,
        list: Vec<Spanned<String>>,
        known: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for name in list {
            match known(&name.value) {
                Ok(thing) => found.push(thing),
                Err(why) => self.refuse(name.referenced, key, why),
            }
        }
        found
    }

    fn headers(&mut self, pairs: Pairs) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for (name, value) in pairs.0 {
            let Some((_, allowed)) = HEADERS.iter().find(|(known, _)| *known == name.value) else {
                let known: Vec<&str> = HEADERS.iter().map(|(name, _)| *name).collect();
                let why = format!(
                    "{:?} cannot be set; those that can: {}",
                    name.value,
                    known.join(", ")
                );
                self.refuse(name.referenced, "headers", why);
                continue;
            };
            if value.is_empty() {
                continue;
            }
            if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
                let why = format!(
                    "{} may be {}, and not {value:?}",
                    name.value,
                    allowed.join(" or ")
                );
                self.refuse(name.referenced, "headers", why);
                continue;
            }
            match (name.value.parse(), value.parse()) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => self.refuse(
                    name.referenced,
                    "headers",
                    format!("{value:?} cannot be the value of a header"),
                ),
            }
        }
        headers
    }

    fn users(&mut self, pairs: Pairs) -> Vec<(String, String)> {
        let mut users = Vec::new();
        for (name, hash) in pairs.0 {
            if name.value.contains(':') {
                let why = format!(
                    "the user {:?} could never log in: a name has no colon in basic authentication",
                    name.value
                );
                self.refuse(name.referenced, "basic_auth_users", why);
            }
            if let Err(why) = users::check_hash(&hash) {
                let why = format!("the user {:?}: {why}", name.value);
                self.refuse(name.referenced, "basic_auth_users", why);
            }
            users.push((name.value, hash));
        }
        users
    }

    fn rate(&mut self, section: Spanned<RawRate>) -> Option<Rate> {
        let (at, raw) = (section.referenced, section.value);
        let interval = match raw.interval {
            None => Duration::ZERO,
            Some(text) => duration::parse(&text.value).unwrap_or_else(|why| {
                self.refuse(text.referenced, "rate_limit.interval", why);
                Duration::ZERO
            }),
        };
        if interval.is_zero() {
            // As in the toolkit: no limit.
            return None;
        }
        let (burst, at) = raw.burst.map_or((0, at), |burst| (burst.value, burst.referenced));
        if burst == 0 {
            self.refuse(
                at,
                "rate_limit.burst",
                "must be 1 or more: with 0, or without it, every request would be refused",
            );
        }
        Some(Rate { interval, burst })
    }
}
