//! Integration tests: one binary, so that it links once; one module a subject.

/// TLS: what works, and each wrong certificate, name and scheme in words.
mod access;

/// Who may ask etcd-doctor: mutual TLS, users, and changes of both under a real Prometheus.
mod protection;

/// Users and passwords, and what a refusal costs the cluster.
mod authentication;

/// What the collectors see of a whole cluster, cycle by cycle.
mod collect;

/// Where members are asked: sockets, pages elsewhere, places that answer nothing.
mod endpoints;

/// Members that come, go, wait or belong elsewhere.
mod membership;

/// Snapshots of real members, and folders of them.
mod backups;

/// PromQL against scripts in the grammar of Prometheus' own tests: ours, and Prometheus' where they are present.
mod promql;

/// Prometheus' HTTP API, asked by promtool.
mod prometheus_api;

/// The same answers as a real Prometheus, asked the same over the same series.
mod conformance;

/// Input that nobody meant: mutated pages, rule files, templates and queries.
mod hostile;

/// promtool as the judge of expressions, rule files, templates and unit tests.
mod promtool;

/// Rule files of other projects, where they are present.
mod rules;

/// Support bundles: made beside a real cluster, judged again without one.
mod bundle;

/// The page in a real browser.
mod page;

/// The commands as they are typed: what they print, where, and their exit statuses.
mod cli;

/// When certificates expire, from handshakes and from files.
mod certificates;

/// Real peers to test against: etcd clusters, Prometheus, etcd-doctor itself as a process.
mod support;

/// The Grafana dashboards: made from one source, and held against the rules, Grafana's schema, a real Prometheus and
/// etcd-doctor itself.
mod dashboards;

/// The files in `deploy/`, given to the program as the places where it runs give them.
mod places;

/// The configurations for Prometheus that are shipped, in real ones.
mod deploy_prometheus;

/// Documentation that is generated from the program, or must fit it.
mod docs;

/// Real faults on real clusters, each found and named by its cause.
mod faults;

/// Every fault that the guide knows, brought about and named: `make lab`.
mod lab;

/// Faults that were recorded once, judged again by today's rules.
mod replay;

/// `/metrics` as scrapers see it.
mod scrape;

/// Alerts sent to a real Alertmanager, and who is paged.
mod notify;

/// The configuration for Alertmanager that is shipped.
mod alertmanager;

/// The promise "one rule file, two evaluators", kept against a real Prometheus.
mod one_rule_file;

/// Rules of the source tree that no compiler checks.
mod tidy;
