//! Where distributions of Kubernetes keep what their etcd is told, and client certificates that no setting of etcd names. A
//! process tells more and goes first: these are for an etcd inside another program (k3s), and for one whose process may not be
//! read.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::client::flags;

/// How a distribution tells its etcd what to do.
#[derive(Clone, Copy)]
enum Kind {
    /// etcd's own configuration file.
    File,
    /// Variables, as systemd reads them.
    Environment,
}

/// A distribution's place.
struct Place {
    name: &'static str,
    settings: &'static str,
    kind: Kind,
    /// Where its authority is, and a client certificate of it.
    ca: &'static str,
    client: &'static str,
}

/// k3s makes the certificates also where it keeps its data in something else than etcd: its settings are the sign of one.
const PLACES: [Place; 3] = [
    Place {
        name: "k3s",
        settings: "var/lib/rancher/k3s/server/db/etcd/config",
        kind: Kind::File,
        ca: "var/lib/rancher/k3s/server/tls/etcd/server-ca.crt",
        client: "var/lib/rancher/k3s/server/tls/etcd/client",
    },
    Place {
        name: "RKE2",
        settings: "var/lib/rancher/rke2/server/db/etcd/config",
        kind: Kind::File,
        ca: "var/lib/rancher/rke2/server/tls/etcd/server-ca.crt",
        client: "var/lib/rancher/rke2/server/tls/etcd/client",
    },
    Place {
        name: "etcdadm",
        settings: "etc/etcd/etcd.env",
        kind: Kind::Environment,
        ca: "etc/etcd/pki/ca.crt",
        client: "etc/etcd/pki/etcdctl-etcd-client",
    },
];

/// What a place tells of its etcd.
pub(super) struct Told {
    /// Where it was read, in words.
    pub(super) origin: String,
    /// The settings, by the flags' names.
    pub(super) settings: BTreeMap<&'static str, String>,
}

/// What the places tell, and in words what they would tell if they could be read.
pub(super) fn all(root: &Path) -> (Vec<Told>, Vec<String>) {
    let (mut told, mut notes) = (Vec::new(), Vec::new());
    for place in &PLACES {
        let file = root.join(place.settings);
        match std::fs::read_to_string(&file) {
            Ok(text) => match settings(place.kind, &text) {
                Ok(settings) => told.push(Told {
                    origin: format!("{} ({})", place.name, file.display()),
                    settings,
                }),
                Err(error) => notes.push(format!(
                    "could not understand the settings of {}'s etcd, {}: {error}; name it with --endpoints, --cacert, --cert \
                     and --key",
                    place.name,
                    file.display()
                )),
            },
            Err(error) if error.kind() == ErrorKind::PermissionDenied => notes.push(format!(
                "could not read {}, where {} tells its etcd what to do: {error}; run as root, or name it with --endpoints, \
                 --cacert, --cert and --key",
                file.display(),
                place.name
            )),
            // Not this distribution.
            Err(_) => {}
        }
    }
    (told, notes)
}

fn settings(kind: Kind, text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    match kind {
        Kind::File => flags::from_yaml(text),
        Kind::Environment => {
            let line = |line: &str| {
                let (name, value) = line.trim().split_once('=')?;
                Some(format!("{name}={}", value.trim().trim_matches(['"', '\''])))
            };
            let variables: Vec<String> = text.lines().filter_map(line).collect();
            Ok(flags::from_environment(&variables))
        }
    }
}

/// The client certificate and its key that lie beside this authority, where it is the authority of such a place. Whether
/// they can be read is found out when they are used.
pub(super) fn client_of(ca_file: &Path) -> Option<(PathBuf, PathBuf)> {
    PLACES.iter().find_map(|place| {
        // The authority may be seen through another root.
        let root = Path::new(ca_file.to_str()?.strip_suffix(place.ca)?);
        let file = |ending: &str| root.join(format!("{}.{ending}", place.client));
        let (cert, key) = (file("crt"), file("key"));
        // A key that may not be read is the one to be told of, not to be passed over.
        cert.exists().then_some((cert, key))
    })
}
