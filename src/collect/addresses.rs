//! The URLs that the members advertise: whether they are encrypted, and whether others than this host reach them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use url::{Host, Url};

use super::{Member, members};
use crate::model::{Desc, Labels, Sample};

static URLS: Desc = Desc::gauge(
    "etcd_doctor_member_urls",
    None,
    "URLs that the member advertises, from Cluster.MemberList: to whom (use is client or peer), how (security is tls or \
     plain), and from where they are reached (reach is loopback or network).",
)
.labels(&["member", "use", "security", "reach"]);

pub(super) const DESCS: &[&Desc] = &[&URLS];

/// What this is worked out from: the outcome of `MemberList`.
pub(super) const FROM: &[&str] = &[members::NAME];

/// The samples of one member; none while its URLs are not known.
pub(super) fn samples(labels: &Labels, member: &Member) -> Vec<Sample> {
    let mut counts = BTreeMap::new();
    for (used_by, urls) in [("client", &member.client_urls), ("peer", &member.peer_urls)] {
        for (security, reach) in urls.iter().filter_map(|url| kind_of(url)) {
            *counts.entry((used_by, security, reach)).or_insert(0.0) += 1.0;
        }
    }
    let sample = |((used_by, security, reach), count)| {
        let labels = labels
            .with("use", used_by)
            .with("security", security)
            .with("reach", reach);
        Sample::number(&URLS, labels, count)
    };
    counts.into_iter().map(sample).collect()
}

fn kind_of(url: &str) -> Option<(&'static str, &'static str)> {
    let url = Url::parse(url).ok()?;
    let security = match url.scheme() {
        "https" | "unixs" => "tls",
        "http" | "unix" => "plain",
        _ => return None,
    };
    let local = match url.host() {
        // A Unix socket, whose URL may name a file where a host would be.
        _ if url.scheme().starts_with("unix") => true,
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => true,
    };
    Some((security, if local { "loopback" } else { "network" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_encrypted_and_what_stays_on_the_host() {
        for (url, expected) in [
            ("http://127.0.0.1:2379", Some(("plain", "loopback"))),
            ("http://localhost:2379", Some(("plain", "loopback"))),
            ("https://[::1]:2379", Some(("tls", "loopback"))),
            ("http://10.0.0.1:2379", Some(("plain", "network"))),
            ("https://etcd-1.example.com:2380", Some(("tls", "network"))),
            ("unix://localhost:23790", Some(("plain", "loopback"))),
            ("ftp://a", None),
            ("", None),
        ] {
            assert_eq!(kind_of(url), expected, "{url}");
        }
    }
}
