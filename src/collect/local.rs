//! Which etcd process of this host is which member, for the collectors that read the host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard, Semaphore};
use tokio::time::timeout;
use url::Url;

use super::{Collector, Failure, Member, Reading, Settings, Subject};
use crate::client::proc::{HostAccess, LocalEtcd, local_etcds};
use crate::model::{CollectError, Labels, Reason, Timestamp, hex_id};

/// How many reads of this host may be under way at once, over all clusters. A read of a file system that does not
/// answer keeps its thread for good: this leaves three quarters of the 512 threads that tokio has for what blocks to
/// the look-up of names. Reads that are answered take milliseconds, so a thousand clusters do with it.
const READS_AT_ONCE: usize = 128;

static READS: Semaphore = Semaphore::const_new(READS_AT_ONCE);

/// An etcd process and the member that it is.
pub(super) struct Local {
    /// The member's name, for the label `member`.
    pub member: Arc<str>,
    /// Its id, where it is known.
    pub id: Option<u64>,
    /// The process.
    pub process: LocalEtcd,
}

/// What the collectors of this host share.
#[derive(Clone, Default)]
pub struct Processes {
    /// The etcd processes of this host: looked for once a cycle, however many collectors ask.
    found: Arc<OnceLock<Result<Vec<LocalEtcd>, CollectError>>>,
    /// Over the cycles, by collector.
    turns: Arc<Mutex<HashMap<&'static str, LastTurn>>>,
}

/// A collector's turn, held while a read of it is under way, and the cycle that took it last.
type LastTurn = (Arc<Turn<()>>, Timestamp);

impl Processes {
    /// The same for the next cycle: the processes are looked for anew, reads that still hang are remembered.
    pub(super) fn next_cycle(&self) -> Self {
        Self {
            found: Arc::default(),
            turns: Arc::clone(&self.turns),
        }
    }

    /// Waits for an earlier read of the same cycle (what is begun anew once the members are known). One of an earlier
    /// cycle has outlived its deadline: it hangs, and a second one would only hang beside it.
    async fn turn(&self, collector: &'static str, now: Timestamp) -> Result<OwnedMutexGuard<()>, Failure> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let (turn, since) = turns.entry(collector).or_insert_with(|| (Arc::default(), now));
            if *since != now && turn.try_lock().is_err() {
                return Err(hangs(format!(
                    "earlier reads of this host still hang since {since}: a file system under it does not answer"
                )));
            }
            *since = now;
            Arc::clone(turn)
        };
        Ok(turn.lock_owned().await)
    }
}

fn hangs(message: String) -> Failure {
    Failure::Failed(CollectError {
        reason: Reason::Timeout,
        message,
        fix: "look for a mount that does not answer, such as one over NFS whose server is gone, and for processes in \
              state D; reading begins again once they answer"
            .into(),
    })
}

/// Takes the place of every collector of this host where it is not to be searched: what is not asked for does not apply, and
/// rules about it are not blind.
pub(super) struct NotSearched;

impl Collector for NotSearched {
    fn collect<'a>(&'a mut self, _: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        async {
            Err(Failure::NotApplicable(
                "this host is not searched for members: the configuration says `host: false`".into(),
            ))
        }
        .boxed()
    }
}

/// Finds the processes on this host that belong to the cluster.
pub(super) fn members_on_this_host(
    processes: &Processes,
    settings: &Settings,
    members: &[Member],
) -> Result<Vec<Local>, Failure> {
    let processes = processes
        .found
        .get_or_init(|| {
            let host_root = (settings.host == HostAccess::Limited).then_some(&*settings.rootfs);
            local_etcds(&settings.proc, host_root)
        })
        .clone()
        .map_err(Failure::Failed)?;
    if processes.is_empty() {
        return Err(Failure::NotApplicable(
            "no etcd process is to be seen on this host".into(),
        ));
    }
    let seen: Vec<String> = processes.iter().map(describe).collect();
    let unreadable = processes.iter().find_map(|process| process.unreadable.clone());
    let locals = pair(processes, members);
    if !locals.is_empty() {
        return Ok(locals);
    }
    Err(match unreadable {
        Some(error) => Failure::Failed(CollectError {
            message: format!("could not tell which member an etcd process of this host is: {error}"),
            ..error
        }),
        None => Failure::NotApplicable(format!(
            "no etcd process on this host belongs to this cluster (seen: {})",
            seen.join(", ")
        )),
    })
}

/// Reads each member's process. Fails only when none could be read, with the first failure.
pub(super) fn of_each<T>(
    locals: &[Local],
    mut read: impl FnMut(&Local) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let (mut readings, mut failure) = (Vec::new(), None);
    for local in locals {
        match read(local) {
            Ok(reading) => readings.push(reading),
            // A failure says more than "does not apply".
            Err(error)
                if matches!(
                    (&failure, &error),
                    (None, _) | (Some(Failure::NotApplicable(_)), Failure::Failed(_))
                ) =>
            {
                failure = Some(error);
            }
            Err(_) => {}
        }
    }
    match failure {
        Some(failure) if readings.is_empty() => Err(failure),
        _ => Ok(readings),
    }
}

/// Runs what reads this host for a collector where it may block, one at a time: whoever waits for it may give it up,
/// but nothing can end it.
pub(super) async fn blocking<T: Send + 'static>(
    subject: &Subject,
    collector: &'static str,
    read: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let turn = subject.processes.turn(collector, subject.now).await?;
    let Ok(Ok(permit)) = timeout(subject.timeout, READS.acquire()).await else {
        return Err(hangs(format!(
            "{READS_AT_ONCE} reads of this host are under way for all clusters together and none of them ends: a file \
             system under it does not answer"
        )));
    };
    let read = move || {
        let _until_it_ends = (turn, permit);
        read()
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Failure::NotApplicable("etcd-doctor is shutting down".into())),
        },
    }
}

/// The label `member` and further ones.
pub(super) fn labels<const N: usize>(member: &Arc<str>, more: [(&str, &str); N]) -> Labels {
    Labels::new([("member", &**member)].into_iter().chain(more))
}

fn describe(process: &LocalEtcd) -> String {
    format!(
        "process {} named {}",
        process.pid,
        process.name().unwrap_or("unknown")
    )
}

/// Pairs processes with members, one to one: where either could be another, neither is taken, since a wrong pair would
/// blame the wrong disk.
fn pair(processes: Vec<LocalEtcd>, members: &[Member]) -> Vec<Local> {
    let of: Vec<Vec<usize>> = processes
        .iter()
        .map(|process| {
            (0..members.len())
                .filter(|at| is(process, &members[*at]))
                .collect()
        })
        .collect();
    let only_one = |at: usize| of.iter().filter(|found| found.contains(&at)).count() == 1;
    let pairs = processes
        .into_iter()
        .zip(&of)
        .filter_map(|(process, found)| match found[..] {
            [at] if only_one(at) => Some(Local {
                member: members[at].name.clone(),
                id: members[at].id,
                process,
            }),
            _ => None,
        });
    pairs.collect()
}

/// Whether a process is a member: its name and its client URLs, as far as both sides are known, must agree. etcd publishes
/// both anew at each start. The name alone may be another cluster's (`default`), and so may the URL (`localhost`).
fn is(process: &LocalEtcd, member: &Member) -> bool {
    let name = match process.name() {
        Some(name) if has_own_name(member) => Some(name == &*member.name),
        _ => None,
    };
    let advertised = process.advertised_client_urls();
    let address = if !member.client_urls.is_empty() && !advertised.is_empty() {
        let own: Vec<_> = member
            .client_urls
            .iter()
            .filter_map(|url| authority(url))
            .collect();
        Some(
            advertised
                .iter()
                .filter_map(|url| authority(url))
                .any(|url| own.contains(&url)),
        )
    } else {
        let endpoint = member.endpoint.as_deref().and_then(authority);
        endpoint
            .filter(|_| name.is_none())
            .map(|endpoint| listens_on(process, &endpoint))
    };
    !matches!(
        (name, address),
        (Some(false), _) | (_, Some(false)) | (None, None)
    )
}

/// Whether the label is the member's real name, and not what stands in for it.
fn has_own_name(member: &Member) -> bool {
    let id = member.id.map(hex_id);
    !id.is_some_and(|id| member.name.contains(&id)) && authority(&member.name).is_none()
}

fn listens_on(process: &LocalEtcd, (host, port): &(String, u16)) -> bool {
    let any = |own: &str| matches!(own, "0.0.0.0" | "[::]") && matches!(&**host, "127.0.0.1" | "[::1]");
    let urls = [process.listen_client_urls(), process.advertised_client_urls()].concat();
    urls.iter()
        .filter_map(|url| authority(url))
        .any(|(own, at)| at == *port && (own == *host || any(&own)))
}

/// The port of a URL; none for a socket's path.
pub(super) fn port(url: &str) -> Option<u16> {
    authority(url).map(|(_, port)| port)
}

/// Host and port of a URL or of `host:port`, with `localhost` as its usual address.
fn authority(text: &str) -> Option<(String, u16)> {
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("etcd://{text}")),
    };
    let url = url.ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    let port = url.port_or_known_default()?;
    Some((
        if host == "localhost" {
            "127.0.0.1".to_owned()
        } else {
            host
        },
        port,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fixture::process;

    fn member(name: &str, urls: &[&str]) -> Member {
        Member {
            name: name.into(),
            id: Some(0xabc1),
            endpoint: Some("127.0.0.1:2379".into()),
            learner: false,
            started: true,
            client_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            peer_urls: vec![],
        }
    }

    const A: (&str, &str) = ("name", "a");
    const URL: (&str, &str) = ("advertise-client-urls", "http://h:2379,http://i:2379");

    #[test]
    fn name_and_address_must_agree_where_both_are_known() {
        assert!(is(&process(&[A, URL]), &member("a", &["http://i:2379"])));
        assert!(
            !is(&process(&[A, URL]), &member("a", &["http://other:2379"])),
            "another cluster's a"
        );
        assert!(
            !is(&process(&[A, URL]), &member("b", &["http://i:2379"])),
            "another cluster's address"
        );
        assert!(
            is(&process(&[A, URL]), &member("abc1", &["http://i:2379"])),
            "a member of no name"
        );
        assert!(
            is(&process(&[A, URL]), &member("a", &[])),
            "a list of members was refused"
        );
        assert!(
            is(&process(&[]), &member("default", &["http://127.0.0.1:2379"])),
            "etcd's defaults"
        );
    }

    #[test]
    fn a_member_known_by_its_endpoint_is_found_by_where_the_process_listens() {
        let unnamed = member("127.0.0.1:2379", &[]);
        let listening = |urls| {
            process(&[
                A,
                ("listen-client-urls", urls),
                ("advertise-client-urls", "http://h:1"),
            ])
        };
        assert!(is(&listening("http://0.0.0.0:2379"), &unnamed));
        assert!(is(&listening("http://localhost:2379"), &unnamed));
        assert!(!is(&listening("http://0.0.0.0:2380"), &unnamed));
        assert!(!is(&listening("http://10.0.0.1:2379"), &unnamed));
    }

    #[test]
    fn an_unknown_name_is_decided_by_the_address() {
        let mut hidden = process(&[URL]);
        hidden.unreadable = Some(crate::client::proc::unreadable(
            "/proc/1/environ".as_ref(),
            "read",
            &std::io::ErrorKind::PermissionDenied.into(),
        ));
        assert!(is(&hidden, &member("a", &["http://h:2379"])));
        assert!(!is(&hidden, &member("a", &["http://x:2379"])));
        hidden.settings.clear();
        assert!(!is(&hidden, &member("a", &["http://x:2379"])), "nothing is known");
    }

    #[test]
    fn two_processes_that_may_both_be_the_member_are_not_taken() {
        let members = [member("a", &["http://h:2379"])];
        assert_eq!(pair(vec![process(&[A, URL])], &members).len(), 1);
        assert_eq!(
            pair(vec![process(&[A, URL]), process(&[A, URL])], &members).len(),
            0
        );
    }

    /// A file system that answers only when told to, and how often it was asked.
    #[tokio::test]
    async fn a_read_that_hangs_is_not_joined_by_another_until_it_ends() {
        let subject_at = |processes: &Processes, seconds: i64| Subject {
            now: Timestamp::from_millis(seconds * 1000),
            processes: processes.clone(),
            ..crate::collect::fixture::subject()
        };
        let (first, (answer, answers)) = (Processes::default(), std::sync::mpsc::channel::<()>());
        let (entered, inside) = tokio::sync::oneshot::channel();
        let hanging = subject_at(&first, 0);
        let hanging = tokio::spawn(async move {
            let read = move || {
                let _ = entered.send(());
                let _ = answers.recv();
                Ok(())
            };
            blocking(&hanging, "filesystem", read).await
        });
        inside.await.unwrap();
        // As the runner does at the deadline: the thread stays in the read.
        hanging.abort();

        let second = first.next_cycle();
        let Err(Failure::Failed(error)) =
            blocking::<()>(&subject_at(&second, 5), "filesystem", || panic!("read")).await
        else {
            panic!("no failure")
        };
        assert_eq!(error.reason, Reason::Timeout);
        let expected = "still hang since 1970-01-01T00:00:00.000Z: a file system";
        assert!(error.message.contains(expected), "{error}");
        // Another collector, another cluster, and the same cycle begun anew are none of its business.
        assert!(
            blocking(&subject_at(&second, 5), "pressure", || Ok(()))
                .await
                .is_ok()
        );
        assert!(
            blocking(&subject_at(&Processes::default(), 5), "filesystem", || Ok(()))
                .await
                .is_ok()
        );
        let anew = subject_at(&first, 0);
        let anew = blocking(&anew, "filesystem", || Ok(()));
        let (anew, ()) = tokio::join!(anew, async { answer.send(()).unwrap() });
        assert!(anew.is_ok());
        let third = second.next_cycle();
        assert!(
            blocking(&subject_at(&third, 10), "filesystem", || Ok(()))
                .await
                .is_ok()
        );
    }

    #[test]
    fn says_which_processes_belong_to_other_clusters() {
        let settings = crate::collect::fixture::settings();
        let Err(Failure::NotApplicable(why)) =
            members_on_this_host(&Processes::default(), &settings, &[member("x", &[])])
        else {
            panic!()
        };
        let expected = "no etcd process on this host belongs to this cluster \
                        (seen: process 4101 named etcd-0, process 4102 named etcd-1)";
        assert_eq!(why, expected);
    }
}
