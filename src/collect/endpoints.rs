//! Who answers at each endpoint: a member of this cluster, one that was removed from it, or another cluster's.
//!
//! etcd names its cluster in the header of every answer. A member whose data was wiped and that was started as a new
//! cluster is healthy by every other sign, and takes writes that the cluster never sees.

use crate::client::Endpoint;
use crate::client::etcd::{Listed, MemberList};
use crate::model::{Desc, Labels, Sample, hex_id};

static FOREIGN: Desc = Desc::gauge(
    "etcd_doctor_endpoint_foreign",
    None,
    "Whether another cluster answers at the endpoint, by the cluster id of its Cluster.MemberList; `member` is whose endpoint \
     it is, by its address or by the peer URL of who answers, and `cluster_id` the id that it answers with.",
)
.labels(&["endpoint", "member", "cluster_id"])
.sparse();
static UNLISTED: Desc = Desc::gauge(
    "etcd_doctor_endpoint_unlisted",
    None,
    "Whether the one that answers at the endpoint belongs to this cluster and is not in its member list, as one that was \
     removed and does not know it yet; `member_id` is its own id.",
)
.labels(&["endpoint", "member_id"])
.sparse();

pub(super) const DESCS: &[&Desc] = &[&FOREIGN, &UNLISTED];

/// The samples of the endpoints that answered. `listed` are the cluster's members, `owner` tells whose address an
/// endpoint is, and `named` the label of a listed member.
pub(super) fn samples<'a>(
    answers: impl Iterator<Item = (&'a Endpoint, &'a MemberList)>,
    cluster_id: u64,
    listed: &[Listed],
    owner: impl Fn(&Endpoint) -> Option<&'a str>,
    named: impl Fn(u64) -> Option<&'a str>,
) -> Vec<Sample> {
    let mut samples = Vec::new();
    for (endpoint, answer) in answers {
        let header = &answer.header;
        let foreign = header.cluster_id != cluster_id;
        let by_peer_url = || {
            let own = answer
                .members
                .iter()
                .find(|member| member.id == header.member_id)?;
            let same = listed
                .iter()
                .find(|member| member.peer_urls.iter().any(|url| own.peer_urls.contains(url)))?;
            named(same.id)
        };
        let member = owner(endpoint).or_else(by_peer_url).unwrap_or_default();
        let flag = |value: bool| f64::from(u8::from(value));
        let endpoint = &**endpoint.as_str();
        let labels = Labels::new([
            ("endpoint", endpoint),
            ("member", member),
            ("cluster_id", &hex_id(header.cluster_id)),
        ]);
        samples.push(Sample::number(&FOREIGN, labels, flag(foreign)));
        let unlisted = !foreign && !listed.iter().any(|member| member.id == header.member_id);
        let labels = Labels::new([("endpoint", endpoint), ("member_id", &hex_id(header.member_id))]);
        samples.push(Sample::number(&UNLISTED, labels, flag(unlisted)));
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::etcd::Header;
    use crate::model::Value;

    fn listed(id: u64, peer_url: &str) -> Listed {
        Listed {
            id,
            name: format!("m{id}"),
            peer_urls: vec![peer_url.to_owned()],
            ..Listed::default()
        }
    }

    fn answer(endpoint: &str, cluster_id: u64, member_id: u64, members: &[Listed]) -> (Endpoint, MemberList) {
        let list = MemberList {
            header: Header {
                cluster_id,
                member_id,
                ..Header::default()
            },
            members: members.to_vec(),
        };
        (Endpoint::parse(endpoint, false).unwrap(), list)
    }

    #[test]
    fn a_wiped_member_a_stray_endpoint_and_a_removed_member_are_told_apart() {
        let ours = [
            listed(1, "http://p1:2380"),
            listed(2, "http://p2:2380"),
            listed(3, "http://p3:2380"),
        ];
        let before = [&ours[..], &[listed(4, "http://p4:2380")]].concat();
        let answers = [
            answer("http://a:2379", 7, 1, &ours),
            // Wiped and started as its own cluster, asked at its own address.
            answer("http://b:2379", 8, 20, &[listed(20, "http://p2:2380")]),
            // The same, asked at an address that is not the one it advertises.
            answer("http://vip:2379", 8, 30, &[listed(30, "http://p3:2380")]),
            answer("http://other:2379", 9, 40, &[listed(40, "http://q1:2380")]),
            answer("http://d:2379", 7, 4, &before),
        ];
        let samples = samples(
            answers.iter().map(|(endpoint, list)| (endpoint, list)),
            7,
            &ours,
            |endpoint| match &*endpoint.authority() {
                "a:2379" => Some("m1"),
                "b:2379" => Some("m2"),
                _ => None,
            },
            |id| {
                ["m1", "m2", "m3"]
                    .get(usize::try_from(id).ok()?.checked_sub(1)?)
                    .copied()
            },
        );
        let raised: Vec<String> = samples
            .iter()
            .filter(|sample| sample.value == Value::Number(1.0))
            .map(|sample| {
                sample
                    .labels
                    .named(sample.desc.name.trim_start_matches("etcd_doctor_endpoint_"))
                    .to_string()
            })
            .collect();
        assert_eq!(
            raised,
            [
                r#"foreign{cluster_id="8", endpoint="http://b:2379", member="m2"}"#,
                r#"foreign{cluster_id="8", endpoint="http://vip:2379", member="m3"}"#,
                r#"foreign{cluster_id="9", endpoint="http://other:2379"}"#,
                r#"unlisted{endpoint="http://d:2379", member_id="4"}"#,
            ]
        );
        assert_eq!(samples.len(), 10, "each endpoint has both");
    }
}
