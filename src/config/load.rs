//! Loading: which sources there are, in which order they are merged.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::Figment;
use figment::value::{Dict, Value};
use futures::future::BoxFuture;

use super::etcdctl::{Connection, Wanted};
use super::layer::{self, Layer};
use super::{Config, Error, Note, Paths, Problem, check, duration, env, file, raw};

/// Flags of the server that are keys of the file.
const FLAGS: [(&str, &[&str]); 6] = [
    ("web.listen-address", &["web", "listen_address"]),
    ("web.config.file", &["web", "config_file"]),
    ("rules.state-dir", &["rules", "state_dir"]),
    ("log.level", &["log", "level"]),
    ("log.format", &["log", "format"]),
    ("interval", &["interval"]),
];

/// What was said on the command line.
#[derive(Clone, Default)]
pub struct Flags {
    /// `--config.file`
    pub config_file: Option<PathBuf>,
    /// The other flags that were given: the name without dashes, and the text.
    pub given: Vec<(String, String)>,
}

/// What was discovered.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What to call the cluster beside others that were found; none when it is the only one.
    pub name: Option<String>,
    /// Endpoints, as etcdctl writes them.
    pub endpoints: Vec<String>,
    /// Whom to trust.
    pub ca_file: Option<PathBuf>,
    /// The client certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// The name that the servers' certificates must have.
    pub server_name: Option<String>,
    /// Whether nothing was found, and the endpoints are where etcd listens by default.
    pub assumed: bool,
    /// How it was found, for the log.
    pub notes: Vec<String>,
}

/// Looks for endpoints, on a host that is seen at these paths: one of what was found for each cluster, at least one. The error
/// says in words why that could not be done.
pub type Discover =
    Arc<dyn Fn(Wanted, Paths) -> BoxFuture<'static, Result<Vec<Found>, String>> + Send + Sync>;

/// Reads a configuration, as often as wanted, from the same places.
#[derive(Clone)]
pub struct Loader {
    flags: Flags,
    variables: Vec<(String, String)>,
    discover: Discover,
}

impl Loader {
    /// Everything that a configuration is made of: flags, the environment, and a way to look for endpoints.
    pub fn new(flags: Flags, variables: Vec<(String, String)>, discover: Discover) -> Self {
        Self {
            flags,
            variables,
            discover,
        }
    }

    /// Reads and checks. Binds nothing and asks no etcd.
    pub async fn load(&self) -> Result<Config, Error> {
        let mut notes = Vec::new();
        let variables = || {
            self.variables
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
        };
        let (path, from_file) = self.file()?;
        let (connection, mut problems) = Connection::new(&self.flags.given, variables(), &mut notes);

        let mut etcdctl = Layer::new("etcdctl");
        connection.timeout(&mut etcdctl, false);
        let from_env = env::parse(variables());
        let mut from_flags = Layer::new("flags");
        for (flag, key) in FLAGS {
            if let Some((_, value)) = self.flags.given.iter().find(|(name, _)| name == flag) {
                from_flags.set(key, value.clone(), &format!("--{flag}"));
            }
        }
        connection.timeout(&mut from_flags, true);

        if let Some((_, place)) = from_env.places.iter().find(|(path, _)| path[0] == "clusters") {
            problems.push(Problem {
                place: place.clone(),
                path: "clusters".into(),
                what:
                    "clusters cannot be set by a variable; name them in a file, or one by ETCDCTL_ENDPOINTS"
                        .into(),
            });
        }
        let mut not_found = None;
        if names_clusters(&from_file) {
            problems.extend(beside_a_file(&connection, &mut notes));
        } else if problems.is_empty() {
            let paths = paths_of(&from_file, &from_env)?;
            let found = self
                .find(&connection, paths, &mut notes)
                .await
                .unwrap_or_else(|error| {
                    not_found = Some(error);
                    // For the rest to be checked all the same.
                    let assumed = Found {
                        endpoints: vec!["127.0.0.1:2379".into()],
                        ..Found::default()
                    };
                    Some((vec![assumed], "default".into()))
                });
            connection.clusters(&mut from_flags, found).map_err(Error::from)?;
        }
        if !problems.is_empty() {
            return Err(Error(problems));
        }
        if let Some(limit) = connection.dial_timeout().map_err(Error::from)? {
            let text = format!(
                "a dial timeout of {} was given; `timeout` bounds each call with its connecting, so it is not needed",
                duration::format(limit)
            );
            notes.push(Note { warning: false, text });
        }

        let layers = vec![defaults(), etcdctl, from_file, from_env, from_flags];
        let merged = Merged::new(layers)?;
        let base = path.as_deref().and_then(Path::parent).map(Path::to_owned);
        let checked = check::check(merged, base.as_deref(), notes, self.clone());
        let mut config = match (not_found, checked) {
            (None, checked) => checked?,
            (Some(error), Ok(_)) => return Err(error),
            (Some(Error(mut problems)), Err(Error(others))) => {
                problems.extend(others);
                return Err(Error(problems));
            }
        };
        config.sources.file = path;
        Ok(config)
    }

    /// The file, when one is named, and its absolute path.
    fn file(&self) -> Result<(Option<PathBuf>, Layer), Error> {
        let variable = self
            .variables
            .iter()
            .find(|(name, value)| name == env::CONFIG_FILE && !value.is_empty());
        let (path, named_by) = match (&self.flags.config_file, variable) {
            (Some(path), _) => (path.clone(), "--config.file"),
            (None, Some((name, path))) => (PathBuf::from(path), name.as_str()),
            (None, None) => return Ok((None, Layer::new(file::LAYER))),
        };
        let unreadable = |error: std::io::Error| Problem {
            place: path.display().to_string(),
            path: String::new(),
            what: format!("could not read the file that {named_by} names: {error}"),
        };
        let text = std::fs::read_to_string(&path).map_err(unreadable)?;
        let layer = file::parse(&path.display().to_string(), &text)?;
        Ok((Some(std::path::absolute(&path).map_err(unreadable)?), layer))
    }

    async fn find(
        &self,
        connection: &Connection,
        paths: Paths,
        notes: &mut Vec<Note>,
    ) -> Result<Option<(Vec<Found>, String)>, Error> {
        let Some(wanted) = connection.wanted().map_err(Error::from)? else {
            return Ok(None);
        };
        let place = connection.place_of(&wanted);
        let asked = match wanted {
            Wanted::Local => "--endpoints".to_owned(),
            Wanted::Srv { .. } => place.clone(),
        };
        let found = (self.discover)(wanted, paths).await.map_err(|what| Problem {
            place: asked,
            path: String::new(),
            what,
        })?;
        let told = found.iter().flat_map(|found| &found.notes);
        notes.extend(told.map(|text| Note {
            warning: false,
            text: text.clone(),
        }));
        let place = if found.iter().any(|found| found.assumed) {
            "default".to_owned()
        } else {
            place
        };
        Ok(Some((found, place)))
    }
}

impl fmt::Debug for Loader {
    /// Without the environment, which holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("config_file", &self.flags.config_file)
            .finish_non_exhaustive()
    }
}

fn names_clusters(layer: &Layer) -> bool {
    layer
        .dict
        .get("clusters")
        .is_some_and(|clusters| !matches!(clusters, Value::Empty(..)))
}

/// etcdctl's flags cannot say which cluster of a file they are about; its variables may be set for other reasons.
fn beside_a_file(connection: &Connection, notes: &mut Vec<Note>) -> Option<Problem> {
    let variables = connection.describing_a_cluster(false);
    if !variables.is_empty() {
        let text = format!(
            "the file names clusters, so these are ignored: {}",
            variables.join(", ")
        );
        notes.push(Note { warning: false, text });
    }
    let flags = connection.describing_a_cluster(true);
    (!flags.is_empty()).then(|| Problem {
        place: flags.join(", "),
        path: String::new(),
        what: "the file names clusters, so say this there and drop the flag".into(),
    })
}

/// Where the host is seen, as far as that is known before endpoints are looked for there.
fn paths_of(from_file: &Layer, from_env: &Layer) -> Result<Paths, Error> {
    let raw::Paths { proc, sys, rootfs } =
        Merged::new(vec![defaults(), from_file.clone(), from_env.clone()])?
            .root
            .paths;
    Ok(Paths {
        proc: proc.0,
        sys: sys.0,
        rootfs: rootfs.0,
    })
}

/// What holds where nothing is said. As text, like every layer.
fn defaults() -> Layer {
    let mut layer = Layer::new("defaults");
    for (path, value) in [
        (&["interval"][..], "5s"),
        (&["timeout"], "2s"),
        (&["window"], "1h"),
        (&["rules", "builtin"], "true"),
        // What Prometheus resends after.
        (&["alerting", "resend_delay"], "1m"),
        (&["alerting", "watchdog"], "false"),
        // Assigned to an etcd exporter in Prometheus' list of ports.
        (&["web", "listen_address"], ":9379"),
        (&["web", "enable_remote_reload"], "false"),
        // A cluster of three gives about 1,000 series of our own; etcd's own pages hold some 1,500 each.
        (&["store", "max_series"], "20000"),
        (&["store", "etcd_job"], "etcd"),
        (&["log", "level"], "info"),
        (&["log", "format"], "logfmt"),
        (&["paths", "proc"], "/proc"),
        (&["paths", "sys"], "/sys"),
        (&["paths", "rootfs"], "/"),
    ] {
        layer.set(path, value, "default");
    }
    layer
}

/// All layers merged.
pub(super) struct Merged {
    layers: Vec<Layer>,
    figment: Figment,
    value: Value,
    pub root: raw::Root,
}

impl Merged {
    fn new(mut layers: Vec<Layer>) -> Result<Self, Error> {
        let (first, rest) = layers.split_at_mut(1);
        for layer in rest {
            drop_empty(&mut layer.dict, &first[0].dict);
        }
        let figment = layers
            .iter()
            .fold(Figment::new(), |figment, layer| figment.merge(layer));
        let failed = |what: String| {
            Error::from(Problem {
                place: String::new(),
                path: String::new(),
                what,
            })
        };
        let value = figment
            .find_value("")
            .map_err(|error| failed(error.to_string()))?;
        match figment.extract::<raw::Root>() {
            Ok(root) => Ok(Self {
                layers,
                figment,
                value,
                root,
            }),
            Err(error) => {
                let place = place(&layers, &figment, &value, &error.path);
                let what = raw::in_words(&error.kind);
                Err(Error::from(Problem {
                    place,
                    path: layer::dotted(&error.path),
                    what,
                }))
            }
        }
    }

    /// Where the value at a path was set: a file's line, a variable, a flag, or `default`.
    pub fn place(&self, path: &[String]) -> String {
        place(&self.layers, &self.figment, &self.value, path)
    }

    /// Whether the file set it: relative paths then start at the file's folder.
    pub fn is_from_file(&self, path: &[String]) -> bool {
        layer_of(&self.layers, &self.figment, &self.value, path)
            .is_some_and(|layer| layer.name == file::LAYER)
    }

    /// Every path that some layer set.
    pub fn paths(&self) -> Vec<layer::Path> {
        self.layers
            .iter()
            .flat_map(|layer| layer.places.keys().cloned())
            .collect()
    }

    /// The places of every variable and flag.
    pub fn places_outside_file(&self) -> Vec<String> {
        let outside = self.layers.iter().filter(|layer| layer.name != file::LAYER);
        let mut places: Vec<String> = outside.flat_map(|layer| layer.places.values().cloned()).collect();
        places.retain(|place| !place.is_empty() && place != "default");
        places.sort();
        places.dedup();
        places
    }
}

fn layer_of<'a>(layers: &'a [Layer], figment: &Figment, root: &Value, path: &[String]) -> Option<&'a Layer> {
    let metadata = figment.get_metadata(layer::tag(root, path))?;
    layers.iter().find(|layer| layer.name == metadata.name)
}

fn place(layers: &[Layer], figment: &Figment, root: &Value, path: &[String]) -> String {
    let place = layer_of(layers, figment, root, path).and_then(|layer| layer.place(path));
    place.unwrap_or_default().to_owned()
}

/// A key without a value, such as a section whose keys are all commented out, leaves the default in force.
fn drop_empty(dict: &mut Dict, known: &Dict) {
    dict.retain(|key, value| !(matches!(value, Value::Empty(..)) && known.contains_key(key)));
    for (key, value) in dict {
        if let (Value::Dict(_, inner), Some(Value::Dict(_, known))) = (value, known.get(key)) {
            drop_empty(inner, known);
        }
    }
}
