//! Who the members are and where each is asked: from the configured endpoints and from the answers of `MemberList`.
//! Pure: what was answered comes in as values.

use std::collections::{BTreeSet, HashMap};

use super::Member;
use crate::client::Endpoint;
use crate::client::etcd::{Listed, MemberList};
use crate::model::{CollectError, Reason, hex_id};

/// A configured endpoint and who answered there last.
#[derive(Clone, Debug)]
pub(super) struct Seed {
    pub(super) endpoint: Endpoint,
    pub(super) member_id: Option<u64>,
    pub(super) cluster_id: Option<u64>,
    /// Why it did not answer when it was asked last.
    pub(super) failure: Option<CollectError>,
}

/// A member and where it may be asked, best first.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) member: Member,
    pub(super) candidates: Vec<Endpoint>,
}

/// The answer to believe: of the cluster that most of those asked belong to, and of two with as many the one with more
/// members (a member that was wiped and started anew is alone in its own), the list that most of its members give, and
/// of several such lists the one with the highest term.
///
/// Once a cluster is known, another one takes its place only when more than half of `asked` say so: a stray endpoint
/// that answers while the cluster is down must not pass for it.
pub(super) fn choose(answers: &[MemberList], known: Option<u64>, asked: usize) -> Option<&MemberList> {
    let in_cluster = |id: u64| {
        answers
            .iter()
            .filter(move |answer| answer.header.cluster_id == id)
    };
    let clusters: BTreeSet<u64> = answers.iter().map(|answer| answer.header.cluster_id).collect();
    let cluster = clusters
        .into_iter()
        .filter(|id| known.is_none_or(|known| known == *id || in_cluster(*id).count() * 2 > asked))
        .max_by_key(|id| {
            let members = in_cluster(*id).map(|answer| answer.members.len()).max();
            (in_cluster(*id).count(), known == Some(*id), members)
        })?;
    let membership = |answer: &MemberList| -> BTreeSet<(u64, bool, bool)> {
        let members = answer.members.iter();
        members
            .map(|member| (member.id, member.learner, member.name.is_empty()))
            .collect()
    };
    in_cluster(cluster).max_by_key(|answer| {
        let same = in_cluster(cluster).filter(|other| membership(other) == membership(answer));
        (same.count(), answer.header.term)
    })
}

/// The members with their labels, and where each may be asked. While no list is known, each configured endpoint
/// stands for a member.
pub(super) fn plan(
    listed: &[Listed],
    seeds: &[Seed],
    parse: impl Fn(&str) -> Result<Endpoint, String>,
) -> Vec<Planned> {
    let mut planned: Vec<Planned> = if listed.is_empty() {
        seeds.iter().map(stand_in).collect()
    } else {
        let names = labels(listed);
        listed
            .iter()
            .zip(names)
            .map(|(member, name)| place(member, name, listed, seeds, &parse))
            .collect()
    };
    planned.sort_by(|one, other| one.member.name.cmp(&other.member.name));
    planned
}

fn stand_in(seed: &Seed) -> Planned {
    Planned {
        member: Member {
            name: seed.endpoint.authority().into(),
            id: None,
            endpoint: None,
            learner: false,
            started: true,
            client_urls: Vec::new(),
            peer_urls: Vec::new(),
        },
        candidates: vec![seed.endpoint.clone()],
    }
}

/// The label of each member: its name; with its id when another has the same name; only its id while it has none.
fn labels(listed: &[Listed]) -> Vec<String> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for member in listed {
        *uses.entry(&member.name).or_default() += 1;
    }
    let label = |member: &Listed| match uses.get(member.name.as_str()) {
        _ if member.name.is_empty() => hex_id(member.id),
        Some(1) => member.name.clone(),
        _ => format!("{}-{}", member.name, hex_id(member.id)),
    };
    listed.iter().map(label).collect()
}

fn place(
    member: &Listed,
    name: String,
    listed: &[Listed],
    seeds: &[Seed],
    parse: &impl Fn(&str) -> Result<Endpoint, String>,
) -> Planned {
    let advertised: Vec<Endpoint> = member
        .client_urls
        .iter()
        .filter_map(|url| parse(url).ok())
        .collect();
    let is_other_member =
        |id: Option<u64>| id.is_some_and(|id| id != member.id && listed.iter().any(|other| other.id == id));
    let answered = seeds.iter().filter(|seed| seed.member_id == Some(member.id));
    let same_place = seeds.iter().filter(|seed| {
        !is_other_member(seed.member_id) && advertised.iter().any(|url| url.same_place(&seed.endpoint))
    });
    let mut candidates: Vec<Endpoint> = Vec::new();
    for endpoint in answered
        .chain(same_place)
        .map(|seed| &seed.endpoint)
        .chain(&advertised)
    {
        if !candidates.iter().any(|other| other.same_place(endpoint)) {
            candidates.push(endpoint.clone());
        }
    }
    Planned {
        member: Member {
            name: name.into(),
            id: Some(member.id),
            endpoint: None,
            learner: member.learner,
            started: !member.name.is_empty(),
            client_urls: member.client_urls.clone(),
            peer_urls: member.peer_urls.clone(),
        },
        candidates,
    }
}

/// Configured endpoints that lead to no member of the cluster, as `host:port`, with what is wrong with each. `watched`
/// tells whether a member is asked at a place: what is wrong there is said of the member.
pub(super) fn strays(
    listed: &[Listed],
    cluster_id: Option<u64>,
    seeds: &[Seed],
    watched: impl Fn(&Endpoint) -> bool,
) -> Vec<(String, CollectError)> {
    if listed.is_empty() {
        return Vec::new();
    }
    let wrong = |seed: &Seed| {
        let Some(id) = seed.member_id else {
            return seed.failure.clone().filter(|_| !watched(&seed.endpoint));
        };
        let endpoint = &seed.endpoint;
        let message = match (seed.cluster_id, cluster_id) {
            (Some(found), Some(expected)) if found != expected => format!(
                "endpoint {endpoint} belongs to cluster {}, the other endpoints to cluster {}",
                hex_id(found),
                hex_id(expected)
            ),
            _ if listed.iter().any(|member| member.id == id) => return None,
            _ if seed.failure.is_some() => format!(
                "endpoint {endpoint} was that of member {}, which has left the cluster",
                hex_id(id)
            ),
            _ => format!(
                "endpoint {endpoint} answers as member {}, which is not in the cluster's member list",
                hex_id(id)
            ),
        };
        Some(CollectError {
            reason: Reason::WrongMember,
            message,
            fix: "remove the endpoint from the configuration, or correct it".into(),
        })
    };
    seeds
        .iter()
        .filter_map(|seed| wrong(seed).map(|why| (seed.endpoint.authority(), why)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::etcd::Header;

    fn endpoint(text: &str) -> Result<Endpoint, String> {
        Endpoint::parse(text, false)
    }

    fn seed(text: &str, member_id: Option<u64>) -> Seed {
        Seed {
            endpoint: endpoint(text).unwrap(),
            member_id,
            cluster_id: member_id.map(|_| 7),
            failure: None,
        }
    }

    fn listed(id: u64, name: &str, url: &str) -> Listed {
        Listed {
            id,
            name: name.into(),
            client_urls: [url]
                .iter()
                .filter(|url| !url.is_empty())
                .map(|url| (*url).to_owned())
                .collect(),
            ..Listed::default()
        }
    }

    fn answer(cluster_id: u64, term: u64, members: &[u64]) -> MemberList {
        MemberList {
            header: Header {
                cluster_id,
                term,
                ..Header::default()
            },
            members: members.iter().map(|id| listed(*id, "m", "")).collect(),
        }
    }

    /// Names and endpoints of a plan.
    fn shown(planned: &[Planned]) -> Vec<String> {
        let show = |planned: &Planned| {
            let candidates: Vec<&str> = planned
                .candidates
                .iter()
                .map(|endpoint| &**endpoint.as_str())
                .collect();
            format!("{} {}", planned.member.name, candidates.join(" "))
        };
        planned.iter().map(show).collect()
    }

    #[test]
    fn most_answers_win_and_then_the_highest_term() {
        let of = |answers: &[MemberList]| choose(answers, None, 3).map(|list| list.members.len());
        assert_eq!(
            of(&[answer(7, 9, &[1]), answer(7, 2, &[1, 2]), answer(7, 2, &[1, 2])]),
            Some(2)
        );
        assert_eq!(of(&[answer(7, 2, &[1]), answer(7, 3, &[1, 2])]), Some(2));
        assert_eq!(
            of(&[answer(8, 9, &[1]), answer(7, 2, &[1, 2]), answer(7, 2, &[1, 2])]),
            Some(2)
        );
        let wiped = [answer(8, 9, &[1]), answer(7, 2, &[1, 2])];
        assert_eq!(of(&wiped), Some(2), "of as many the greater cluster");
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_stray_endpoint_does_not_pass_for_a_cluster_that_is_down() {
        assert!(choose(&[answer(8, 9, &[1])], Some(7), 3).is_none());
        // Built anew at the same place, it is another cluster for all who are asked.
        assert!(choose(&[answer(8, 1, &[1])], Some(7), 1).is_some());
        assert!(choose(&[answer(8, 1, &[1]), answer(8, 1, &[1])], Some(7), 3).is_some());
    }

    #[test]
    fn before_a_list_came_each_endpoint_stands_for_a_member() {
        let seeds = [seed("http://b:2379", None), seed("a:2379", None)];
        assert_eq!(
            shown(&plan(&[], &seeds, endpoint)),
            ["a:2379 http://a:2379", "b:2379 http://b:2379"]
        );
    }

    #[test]
    fn the_configured_endpoint_that_answered_comes_first_and_the_advertised_ones_follow() {
        let members = [
            listed(1, "m1", "http://10.0.0.1:2379"),
            listed(2, "m2", "http://10.0.0.2:2379"),
        ];
        let seeds = [
            seed("http://vip:2379", Some(1)),
            seed("http://10.0.0.2:2379", None),
        ];
        assert_eq!(
            shown(&plan(&members, &seeds, endpoint)),
            [
                "m1 http://vip:2379 http://10.0.0.1:2379",
                "m2 http://10.0.0.2:2379"
            ]
        );
    }

    /// Advertising an address that is another member's here: the id that answered counts.
    #[test]
    fn an_endpoint_where_another_member_answered_is_not_used() {
        let members = [
            listed(1, "m1", "http://localhost:2379"),
            listed(2, "m2", "http://10.0.0.2:2379"),
        ];
        let seeds = [seed("http://localhost:2379", Some(2))];
        let planned = plan(&members, &seeds, endpoint);
        assert_eq!(
            shown(&planned)[1],
            "m2 http://localhost:2379 http://10.0.0.2:2379"
        );
    }

    #[test]
    fn members_have_distinct_labels() {
        let members = [
            listed(0xab, "", ""),
            listed(0xcd, "same", ""),
            listed(0xef, "same", ""),
            listed(1, "own", ""),
        ];
        let planned = plan(&members, &[], endpoint);
        assert_eq!(shown(&planned), ["ab ", "own ", "same-cd ", "same-ef "]);
        assert!(!planned[0].member.started && planned[1].member.started);
    }

    #[test]
    fn endpoints_of_no_member_and_of_another_cluster_are_told() {
        let members = [listed(1, "m1", "http://a:1")];
        let foreign = Seed {
            cluster_id: Some(8),
            ..seed("http://b:1", Some(1))
        };
        let silent = |text: &str, member_id| Seed {
            failure: Some(CollectError {
                reason: Reason::Unreachable,
                message: format!("cannot connect to {text}"),
                fix: String::new(),
            }),
            ..seed(text, member_id)
        };
        let seeds = [
            seed("http://a:1", Some(1)),
            foreign,
            seed("http://c:1", Some(3)),
            silent("http://d:1", Some(4)),
            silent("http://e:1", None),
            // A member is asked there: its own collectors say so.
            silent("http://f:1", None),
            silent("http://g:1", Some(1)),
            seed("http://h:1", None),
        ];
        let watched = |endpoint: &Endpoint| endpoint.authority() == "f:1";
        let strays = strays(&members, Some(7), &seeds, watched);
        let said: Vec<(&str, &str)> = strays
            .iter()
            .map(|(authority, why)| (authority.as_str(), why.message.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (
                    "b:1",
                    "endpoint http://b:1 belongs to cluster 8, the other endpoints to cluster 7"
                ),
                (
                    "c:1",
                    "endpoint http://c:1 answers as member 3, which is not in the cluster's member list"
                ),
                (
                    "d:1",
                    "endpoint http://d:1 was that of member 4, which has left the cluster"
                ),
                ("e:1", "cannot connect to http://e:1"),
            ]
        );
    }
}
