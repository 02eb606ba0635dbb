//! etcdctl's connection flags and `ETCDCTL_…` variables: one cluster, described as etcdctl would reach it.

use std::collections::BTreeMap;

use figment::value::Value;

use super::layer::Layer;
use super::raw::FromText;
use super::{Found, Note, Problem};

/// Before the name of every variable of etcdctl.
const PREFIX: &str = "ETCDCTL_";

/// The flags of etcdctl that describe a connection, each with a variable of the same name.
const NAMES: [&str; 13] = [
    "endpoints",
    "cacert",
    "cert",
    "key",
    "insecure-skip-tls-verify",
    "insecure-transport",
    "discovery-srv",
    "discovery-srv-name",
    "insecure-discovery",
    "user",
    "password",
    "dial-timeout",
    "command-timeout",
];

/// The place of what was found where etcd runs beside etcd-doctor.
pub(super) const FOUND_HERE: &str = "found on this host";

/// These may stand beside a file that names clusters: they are not about one of them.
const NOT_OF_A_CLUSTER: [&str; 2] = ["dial-timeout", "command-timeout"];

/// Variables of etcdctl that mean nothing here, and that nobody need be told of.
const IRRELEVANT: [&str; 6] = [
    "ETCDCTL_API",
    "ETCDCTL_WRITE_OUT",
    "ETCDCTL_HEX",
    "ETCDCTL_DEBUG",
    "ETCDCTL_KEEPALIVE_TIME",
    "ETCDCTL_KEEPALIVE_TIMEOUT",
];

/// Where the endpoints are to be looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// In DNS: `--discovery-srv`.
    Srv {
        /// The domain.
        domain: String,
        /// `--discovery-srv-name`: part of the service's name, may be empty.
        service: String,
        /// Whether endpoints without TLS are taken too.
        insecure: bool,
    },
    /// On this host, since none were given.
    Local,
}

/// What was given, by the flag's name.
pub(super) struct Connection(BTreeMap<&'static str, Given>);

struct Given {
    value: String,
    place: String,
    flag: bool,
}

impl Connection {
    /// Takes what was given. As in etcdctl, a variable and a flag that say different things are refused.
    pub fn new<'a>(
        flags: &[(String, String)],
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        notes: &mut Vec<Note>,
    ) -> (Self, Vec<Problem>) {
        let (mut given, mut problems) = (BTreeMap::new(), Vec::new());
        for name in NAMES {
            if let Some((flag, value)) = flags.iter().find(|(flag, _)| flag == name) {
                given.insert(
                    name,
                    Given {
                        value: value.clone(),
                        place: format!("--{flag}"),
                        flag: true,
                    },
                );
            }
        }
        for (variable, value) in variables {
            let Some(rest) = variable.strip_prefix(PREFIX) else {
                continue;
            };
            let lower = rest.to_ascii_lowercase().replace('_', "-");
            let Some(name) = NAMES.into_iter().find(|name| *name == lower) else {
                if !IRRELEVANT.contains(&variable) {
                    notes.push(Note {
                        warning: true,
                        text: format!("{variable} is no variable of etcdctl; ignored"),
                    });
                }
                continue;
            };
            match given.get(name) {
                _ if value.is_empty() => {}
                Some(flag) if flag.value != value => problems.push(Problem {
                    place: flag.place.clone(),
                    path: String::new(),
                    what: format!("{variable} says something else; unset it or drop the flag"),
                }),
                Some(_) => {}
                None => {
                    let place = format!("variable {variable}");
                    given.insert(
                        name,
                        Given {
                            value: value.to_owned(),
                            place,
                            flag: false,
                        },
                    );
                }
            }
        }
        (Self(given), problems)
    }

    /// The places of all that describes a cluster: flags or variables.
    pub fn describing_a_cluster(&self, flags: bool) -> Vec<&str> {
        let of_cluster = self
            .0
            .iter()
            .filter(|(name, given)| given.flag == flags && !NOT_OF_A_CLUSTER.contains(name));
        of_cluster
            .map(|(_, given)| given.place.trim_start_matches("variable "))
            .collect()
    }

    /// What has to be looked up before `cluster` can tell the endpoints.
    pub fn wanted(&self) -> Result<Option<Wanted>, Problem> {
        if let Some(domain) = self.text("discovery-srv") {
            let service = self.text("discovery-srv-name").unwrap_or_default().to_owned();
            let insecure = self.truth("insecure-discovery")?.unwrap_or(true);
            return Ok(Some(Wanted::Srv {
                domain: domain.to_owned(),
                service,
                insecure,
            }));
        }
        Ok(self.text("endpoints").is_none().then_some(Wanted::Local))
    }

    /// How the place is called that what was looked up comes from.
    pub fn place_of(&self, wanted: &Wanted) -> String {
        match wanted {
            Wanted::Srv { .. } => self
                .0
                .get("discovery-srv")
                .map_or_else(String::new, |given| given.place.clone()),
            Wanted::Local => FOUND_HERE.into(),
        }
    }

    /// Writes the cluster, or each of those that were found, into a layer. What was given goes before what was found; as in
    /// etcdctl, endpoints that were looked up in DNS go before `--endpoints`, unless there are none.
    pub fn clusters(&self, layer: &mut Layer, found: Option<(Vec<Found>, String)>) -> Result<(), Problem> {
        let place = self.0.values().next().map_or("", |given| &given.place).to_owned();
        layer.places.insert(vec!["clusters".into()], place);
        let (found, place) = found.unwrap_or_default();
        self.is_of_one(&found)?;
        let found: Vec<Option<&Found>> = match &*found {
            [] => vec![None],
            found => found.iter().map(Some).collect(),
        };
        let mut clusters = Vec::with_capacity(found.len());
        for (at, found) in found.into_iter().enumerate() {
            let cluster = self.cluster(layer.name, found.map(|found| (found, &*place)))?;
            for (path, place) in cluster.places {
                let path = ["clusters".to_owned(), at.to_string()].into_iter().chain(path);
                layer.places.insert(path.collect(), place);
            }
            clusters.push(Value::from(cluster.dict));
        }
        layer.dict.insert("clusters".into(), Value::from(clusters));
        Ok(())
    }

    /// A certificate or a password is of one cluster: it is not shown to the others that were found beside it.
    fn is_of_one(&self, found: &[Found]) -> Result<(), Problem> {
        let of_one = self.0.iter().find(|(name, _)| !NOT_OF_A_CLUSTER.contains(name));
        let (Some((_, given)), [_, _, ..]) = (of_one, found) else {
            return Ok(());
        };
        let each: Vec<String> = found.iter().map(|found| found.endpoints.join(",")).collect();
        Err(problem(
            given,
            &format!(
                "{} etcd clusters run on this host: {}; name the endpoints of the one that this is about with --endpoints, or \
                 each as a cluster in a configuration file",
                found.len(),
                each.join(" and ")
            ),
        ))
    }

    fn cluster(&self, layer: &'static str, found: Option<(&Found, &str)>) -> Result<Layer, Problem> {
        let mut cluster = Layer::new(layer);
        let name = found.and_then(|(found, _)| found.name.as_deref());
        cluster.set(&["name"], name.unwrap_or("etcd"), "default");
        if let Some(given) = self.0.get("endpoints") {
            cluster.set(&["endpoints"], given.value.clone(), &given.place);
        }
        if let Some((found, place)) = found {
            if !found.endpoints.is_empty() {
                cluster.set(&["endpoints"], found.endpoints.clone(), place);
            }
            for (key, file) in [
                ("ca_file", &found.ca_file),
                ("cert_file", &found.cert_file),
                ("key_file", &found.key_file),
            ] {
                if let Some(file) = file {
                    cluster.set(&["tls", key], file.display().to_string(), place);
                }
            }
            if let Some(name) = &found.server_name {
                cluster.set(&["tls", "server_name"], name.clone(), place);
            }
        }
        for (name, key) in [
            ("cacert", "ca_file"),
            ("cert", "cert_file"),
            ("key", "key_file"),
            ("insecure-skip-tls-verify", "insecure_skip_verify"),
        ] {
            if let Some(given) = self.0.get(name) {
                cluster.set(&["tls", key], given.value.clone(), &given.place);
            }
        }
        if self.truth("insecure-transport")? == Some(false) {
            self.make_secure(&mut cluster);
        }
        self.user(&mut cluster)?;
        Ok(cluster)
    }

    /// `--insecure-transport=false`: endpoints without a scheme are `https`, even without any certificate given.
    fn make_secure(&self, cluster: &mut Layer) {
        let place = cluster
            .place(&["endpoints".into()])
            .unwrap_or_default()
            .to_owned();
        let endpoints: Vec<String> = match cluster.dict.get("endpoints") {
            Some(Value::String(_, text)) => text
                .split(',')
                .map(|endpoint| endpoint.trim().to_owned())
                .collect(),
            Some(Value::Array(_, list)) => list
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
            _ => return,
        };
        let secure = endpoints
            .into_iter()
            .filter(|endpoint| !endpoint.is_empty())
            .map(|endpoint| {
                if endpoint.contains("://") {
                    endpoint
                } else {
                    format!("https://{endpoint}")
                }
            });
        cluster.set(&["endpoints"], secure.collect::<Vec<_>>(), &place);
    }

    /// `--user name:password`, or `--user name --password password`: then a colon belongs to the name.
    fn user(&self, cluster: &mut Layer) -> Result<(), Problem> {
        let (user, password) = (self.0.get("user"), self.0.get("password"));
        match (user, password) {
            (None, None) => {}
            (None, Some(password)) => {
                return Err(problem(password, "a password needs --user beside it"));
            }
            (Some(user), Some(password)) => {
                cluster.set(&["username"], user.value.clone(), &user.place);
                cluster.set(&["password"], password.value.clone(), &password.place);
            }
            (Some(user), None) => {
                let Some((name, password)) = user.value.split_once(':') else {
                    let what = "the password is missing: give name:password, or --password; \
                                better, ETCDCTL_PASSWORD or a file with password_file, which no process list shows";
                    return Err(problem(user, what));
                };
                cluster.set(&["username"], name, &user.place);
                cluster.set(&["password"], password, &user.place);
            }
        }
        Ok(())
    }

    /// Writes the deadline into a layer: the variable's into that of the variables, the flag's into that of the flags.
    pub fn timeout(&self, layer: &mut Layer, flags: bool) {
        if let Some(given) = self.0.get("command-timeout").filter(|given| given.flag == flags) {
            layer.set(&["timeout"], given.value.clone(), &given.place);
        }
    }

    /// The longest that connecting may take, where one was given.
    pub fn dial_timeout(&self) -> Result<Option<std::time::Duration>, Problem> {
        self.parsed("dial-timeout")
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(|given| given.value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn truth(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.parsed(name)
    }

    fn parsed<T: FromText>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(given) = self.0.get(name) else {
            return Ok(None);
        };
        T::from_text(&given.value).map(Some).ok_or_else(|| {
            problem(
                given,
                &format!("expected {}, found {:?}", T::EXPECTED, given.value),
            )
        })
    }
}

fn problem(given: &Given, what: &str) -> Problem {
    Problem {
        place: given.place.clone(),
        path: String::new(),
        what: what.into(),
    }
}
