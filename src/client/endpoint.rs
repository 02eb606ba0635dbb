//! An endpoint: where a member or a page is, as text and in parts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// etcd's client port.
const DEFAULT_PORT: u16 = 2379;

/// Where a member is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    text: Arc<str>,
    pub(super) tls: bool,
    pub(super) address: Address,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl Endpoint {
    /// Parses `host:port`, `http://…`, `https://…`, `unix:///path` or `unixs:///path`. A path behind a host is
    /// ignored, as etcdctl does.
    ///
    /// # Errors
    /// In words, naming the text.
    pub fn parse(text: &str, tls_without_scheme: bool) -> Result<Self, String> {
        let text = text.trim();
        for (scheme, tls) in [("unix://", false), ("unixs://", true)] {
            if let Some(path) = text.strip_prefix(scheme) {
                if path.is_empty() {
                    return Err(format!("endpoint {text:?} names no socket"));
                }
                return Ok(Self {
                    text: text.into(),
                    tls,
                    address: Address::Unix(path.into()),
                });
            }
        }
        let url = match text.split_once("://") {
            Some(_) => text.to_owned(),
            None if tls_without_scheme => format!("https://{text}"),
            None => format!("http://{text}"),
        };
        let (scheme, rest) = url.split_once("://").unwrap_or(("", &url));
        let tls = match scheme {
            "http" => false,
            "https" => true,
            _ => {
                return Err(format!(
                    "endpoint {text:?}: the scheme {scheme:?} is not http, https or unix"
                ));
            }
        };
        let parsed = url::Url::parse(&url).map_err(|error| format!("endpoint {text:?}: {error}"))?;
        let host = parsed
            .host_str()
            .ok_or_else(|| format!("endpoint {text:?} names no host"))?;
        // `Url` drops the scheme's own port, so `http://host:80` is told from `http://host` by the text.
        let authority = rest.split('/').next().unwrap_or(rest);
        let port = match parsed.port() {
            Some(port) => port,
            None if authority.ends_with(":80") && !tls => 80,
            None if authority.ends_with(":443") && tls => 443,
            None => DEFAULT_PORT,
        };
        Ok(Self {
            text: format!("{scheme}://{host}:{port}").into(),
            tls,
            address: Address::Tcp {
                host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
                port,
            },
        })
    }

    /// The endpoint with scheme, host and port: `https://10.0.0.1:2379`.
    pub fn as_str(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether it is reached over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// `host:port`, or the socket's path.
    pub fn authority(&self) -> String {
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Address::Tcp { host, port } => format!("{host}:{port}"),
            Address::Unix(path) => path.display().to_string(),
        }
    }

    /// Whether both lead to the same place: scheme aside, since an advertised URL may differ from the one used.
    pub fn same_place(&self, other: &Self) -> bool {
        self.address == other.address
    }

    /// The name that a certificate must be valid for.
    pub(super) fn host(&self) -> &str {
        match &self.address {
            Address::Tcp { host, .. } => host,
            Address::Unix(_) => "localhost",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_etcdctl_takes_is_understood() {
        for (text, tls, shown, authority) in [
            ("127.0.0.1:2379", false, "http://127.0.0.1:2379", "127.0.0.1:2379"),
            ("host", true, "https://host:2379", "host:2379"),
            ("http://host:80", true, "http://host:80", "host:80"),
            ("https://a.b:443/", false, "https://a.b:443", "a.b:443"),
            ("[::1]:2379", false, "http://[::1]:2379", "[::1]:2379"),
            (
                "https://[fe80::1]",
                false,
                "https://[fe80::1]:2379",
                "[fe80::1]:2379",
            ),
            (
                "unix:///run/etcd.sock",
                false,
                "unix:///run/etcd.sock",
                "/run/etcd.sock",
            ),
        ] {
            let endpoint = Endpoint::parse(text, tls).unwrap();
            assert_eq!(&**endpoint.as_str(), shown);
            assert_eq!(endpoint.authority(), authority);
        }
    }

    #[test]
    fn what_is_not_an_endpoint_is_refused_by_name() {
        for text in [
            "ftp://host:1",
            "",
            "http://",
            "unix://",
            "host:99999",
            "http://a b:1",
        ] {
            let error = Endpoint::parse(text, false).unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
