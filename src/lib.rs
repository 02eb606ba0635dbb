//! etcd-doctor: finds out what is wrong with an etcd cluster.
//!
//! Data flows one way, in the order of this list: a configuration says what to watch; collectors observe; the window
//! remembers; rules judge; the diagnosis relates; readers are shown a snapshot. `ARCHITECTURE.md` has the picture and
//! the invariants.

pub mod model;

pub mod client;
pub mod collect;

pub mod promql;
pub mod rules;
pub mod store;

pub mod diagnosis;
pub mod snapshot;

pub mod bundle;
pub mod notify;

pub mod config;
pub mod http;
pub mod render;
pub mod telemetry;

pub mod app;
pub mod cli;
pub mod cycle;
