//! Where the real programs are.

use std::path::PathBuf;

/// A release of etcd to test against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// 3.4: no pre-vote, `/health` is a raft proposal.
    V3_4,
    /// 3.5: from 3.5.28 to 3.5.31 it refuses Status to users without the root role.
    V3_5,
}

impl Version {
    const fn folder(self) -> &'static str {
        match self {
            Self::V3_4 => "etcd-3.4",
            Self::V3_5 => "etcd-3.5",
        }
    }

    /// The release as people name it.
    pub const fn release(self) -> &'static str {
        match self {
            Self::V3_4 => "3.4",
            Self::V3_5 => "3.5",
        }
    }

    /// One of its programs, `etcd` or `etcdctl`.
    pub fn program(self, name: &str) -> PathBuf {
        program(self.folder(), name)
    }
}

/// A program of a peer, as `scripts/peers.sh` laid it out.
pub fn program(peer: &str, name: &str) -> PathBuf {
    let path = folder().join(peer).join(name);
    assert!(
        path.exists(),
        "{} is missing: run `make peers`, which downloads the real programs that these tests need, or `make test`",
        path.display()
    );
    path
}

fn folder() -> PathBuf {
    let set = |key| {
        std::env::var_os(key)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("TEST_PEERS")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("etcd-doctor/peers")))
        .or_else(|| Some(set("HOME")?.join(".cache/etcd-doctor/peers")))
        .expect("neither TEST_PEERS nor HOME is set: run `make test`")
}
