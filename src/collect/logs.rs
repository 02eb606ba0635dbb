//! The members' logs on this host: known messages, counted by kind. No text of a log leaves this module.

mod entry;
mod kinds;
mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::local::{self, Local, labels};
use super::{Collector, Failure, Member, Reading, Scope, Settings, Spec, Subject};
use crate::client::logs::{LOOK_BACK, Log, Nowhere, Place, Which, of_process};
use crate::model::{CollectError, Desc, Reason, Sample, Timestamp};
use lines::{Counter, Counts};

/// The row of `COLLECTORS`.
pub const SPEC: Spec = Spec {
    name: "logs",
    scope: Scope::Host,
    descs: &[&MESSAGES, &LINES, &SKIPPED],
    build: |settings| {
        Box::new(Logs {
            settings: settings.clone(),
            state: Arc::default(),
        })
    },
};

static MESSAGES: Desc = Desc::counter(
    "etcd_doctor_log_messages_total",
    None,
    "Known messages in the member's log by kind, counted while etcd-doctor watches and for the minute before; 0 for each kind at first.",
)
.labels(&["member", "kind"]);
static LINES: Desc = Desc::counter(
    "etcd_doctor_log_lines_total",
    None,
    "Lines in the member's log that were read, whether their message is known or not.",
)
.labels(&["member"]);
static SKIPPED: Desc = Desc::counter(
    "etcd_doctor_log_skipped_bytes_total",
    Some("bytes"),
    "Bytes of the member's log that were passed over, since it grew faster than it is read.",
)
.labels(&["member"]);

struct Logs {
    settings: Settings,
    /// Shared with the read that is under way, which may outlive its cycle.
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    followed: Followeds,
    /// Why a member's log cannot be read, as it was last said in the log of etcd-doctor.
    said: BTreeMap<Arc<str>, String>,
}

/// The logs that are followed, by member.
type Followeds = BTreeMap<Arc<str>, Followed>;

/// Where each member's log is, or why that is not known.
type Places = BTreeMap<Arc<str>, Result<Place, Failure>>;

impl Collector for Logs {
    fn collect<'a>(&'a mut self, subject: &'a Subject) -> BoxFuture<'a, Result<Reading, Failure>> {
        let (settings, members, now) = (self.settings.clone(), subject.members.clone(), subject.now);
        let (processes, state) = (subject.processes.clone(), Arc::clone(&self.state));
        local::blocking(subject, SPEC.name, move || {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let known = |name: &Arc<str>| members.iter().any(|member| member.name == *name);
            state.followed.retain(|name, _| known(name));
            let locals = local::members_on_this_host(&processes, &settings, &members);
            let (places, nowhere) = match places(&settings, &members, locals) {
                Ok(places) => (places, None),
                Err(why) => (Places::new(), Some(why)),
            };
            let mut samples = state.of_ended(&places, now);
            let mut unread = Vec::new();
            for (name, place) in places {
                let log =
                    place.and_then(|place| follow(&mut state.followed, &name, &place, &settings.rootfs, now));
                match log.map(|log| log.samples(&name)) {
                    Ok(read) => {
                        samples.extend(read);
                        state.said.remove(&name);
                    }
                    Err(why) => {
                        state.say(&name, &why);
                        unread.push((name, why));
                    }
                }
            }
            if samples.is_empty() {
                let first = unread.into_iter().map(|(_, why)| why).next();
                return match nowhere.or(first) {
                    Some(failure) => Err(failure),
                    None => Ok(Reading::default()),
                };
            }
            Ok(Reading {
                samples,
                lacking: lacking(&unread),
                ..Reading::default()
            })
        })
        .boxed()
    }
}

impl State {
    /// What is left of members that have ended: their last words say the most.
    fn of_ended(&mut self, places: &Places, now: Timestamp) -> Vec<Sample> {
        let ended = self
            .followed
            .iter_mut()
            .filter(|(name, _)| !places.contains_key(*name));
        let read = ended.filter_map(|(name, log)| {
            log.read(now, true).ok()?;
            Some(log.samples(name))
        });
        read.flatten().collect()
    }

    /// Logs a failure once.
    fn say(&mut self, member: &Arc<str>, why: &Failure) {
        let why = match why {
            Failure::NotApplicable(why) | Failure::Nothing(why) => why.clone(),
            Failure::Failed(error) => format!("{}; {}", error.message, error.fix),
        };
        if self.said.get(member) != Some(&why) {
            tracing::warn!(%member, why, "the log of a member is not read");
            self.said.insert(Arc::clone(member), why);
        }
    }
}

/// What is missing beside the logs that are read: each that is not, with its member and the reason.
fn lacking(unread: &[(Arc<str>, Failure)]) -> Option<CollectError> {
    let errors: Vec<CollectError> = unread
        .iter()
        .map(|(member, why)| match why {
            Failure::Failed(error) => CollectError {
                message: format!("the log of {member} is not read: {}", error.message),
                ..error.clone()
            },
            // Where nothing is read this is no failure; beside logs that are read it is, for the rules take this member for quiet.
            Failure::NotApplicable(why) | Failure::Nothing(why) => CollectError {
                reason: Reason::Malformed,
                message: why.clone(),
                fix: String::new(),
            },
        })
        .collect();
    let first = errors.first()?;
    let messages: Vec<&str> = errors.iter().map(|error| &*error.message).collect();
    let fixes: BTreeSet<&str> = errors.iter().map(|error| &*error.fix).collect();
    let fixes: Vec<&str> = fixes.into_iter().filter(|fix| !fix.is_empty()).collect();
    Some(CollectError {
        reason: first.reason,
        message: messages.join("; "),
        fix: fixes.join("; "),
    })
}

/// Reads on in a member's log, wherever it is by now.
fn follow<'a>(
    followed: &'a mut Followeds,
    name: &Arc<str>,
    place: &Place,
    root: &Path,
    now: Timestamp,
) -> Result<&'a Followed, Failure> {
    if followed.get_mut(name).is_some_and(|log| !log.log.moved_to(place)) {
        followed.remove(name);
    }
    let log = followed
        .entry(Arc::clone(name))
        .or_insert_with(|| Followed::new(Log::follow(place, root, now)));
    log.read(now, false).map_err(Failure::Failed)?;
    Ok(log)
}

/// Where the log of each member is that is wanted and can be found.
fn places(
    settings: &Settings,
    members: &[Member],
    locals: Result<Vec<Local>, Failure>,
) -> Result<Places, Failure> {
    let of_process = |local: &Local| {
        of_process(&local.process, &settings.rootfs).map_err(|nowhere| match nowhere {
            Nowhere::Failed(error) => Failure::Failed(error),
            Nowhere::Unkept(why) => Failure::NotApplicable(format!(
                "the log of {} cannot be followed: {why}; name it with `logs` in the configuration",
                local.member
            )),
        })
    };
    let found = |locals: Vec<Local>| -> Places {
        let places = locals
            .iter()
            .map(|local| (Arc::clone(&local.member), of_process(local)));
        places.collect()
    };
    match &settings.logs {
        Which::Off => Err(Failure::NotApplicable(
            "logs are not read: the configuration says `logs: off`".into(),
        )),
        Which::Found => Ok(found(locals?)),
        Which::Here(place) => match locals?.as_slice() {
            [only] => Ok([(Arc::clone(&only.member), Ok(place.clone()))].into()),
            several => {
                let names: Vec<&str> = several.iter().map(|local| &*local.member).collect();
                Err(Failure::Failed(CollectError {
                    reason: Reason::Malformed,
                    message: format!(
                        "whose log `logs` means cannot be told: {} run on this host",
                        names.join(", ")
                    ),
                    fix: "give each member its own in the configuration: `logs: {NAME: FILE}`".into(),
                }))
            }
        },
        Which::Of(places) => {
            let named = members.iter().filter_map(|member| {
                let place = places.get(&*member.name)?;
                Some((Arc::clone(&member.name), Ok(place.clone())))
            });
            let mut all = locals.map(found).unwrap_or_default();
            all.extend(named);
            let names: Vec<&str> = places.keys().map(String::as_str).collect();
            match all.is_empty() {
                true => Err(Failure::NotApplicable(format!(
                    "no member is called as in `logs`: {}",
                    names.join(", ")
                ))),
                false => Ok(all),
            }
        }
    }
}

/// A member's log over time.
struct Followed {
    log: Log,
    counter: Counter,
    /// None before the first reading, whose own findings are added with the second: a rate needs the zero before it.
    counts: Option<Counts>,
    before: Counts,
    skipped: u64,
}

impl Followed {
    fn new(log: Log) -> Self {
        Self {
            log,
            counter: Counter::default(),
            counts: None,
            before: Counts::default(),
            skipped: 0,
        }
    }

    /// Reads on and counts. Of an etcd that has `ended` nothing new is opened.
    fn read(&mut self, now: Timestamp, ended: bool) -> Result<(), CollectError> {
        let added = self.log.read(now, ended)?;
        if added.begins_anew || added.mid_line {
            self.counter.break_off(added.mid_line);
        }
        self.skipped += added.skipped;
        let since = added.look_back.then(|| now.minus(LOOK_BACK).millis());
        let counts = self.counter.count(&added.bytes, since);
        match &mut self.counts {
            None => {
                self.counts = Some(Counts::default());
                self.before = counts;
            }
            Some(all) => {
                all.add(&std::mem::take(&mut self.before));
                all.add(&counts);
            }
        }
        Ok(())
    }

    fn samples(&self, member: &Arc<str>) -> Vec<Sample> {
        let none = Counts::default();
        let counts = self.counts.as_ref().unwrap_or(&none);
        let kinds = kinds::all().map(|kind| {
            let count = counts.kinds.get(kind).copied().unwrap_or_default();
            Sample::number(&MESSAGES, labels(member, [("kind", kind)]), count as f64)
        });
        let others = [(&LINES, counts.lines), (&SKIPPED, self.skipped)];
        let others = others.map(|(desc, value)| Sample::number(desc, labels(member, []), value as f64));
        kinds.chain(others).collect()
    }
}

#[cfg(test)]
mod tests;
