//! Integration tests: one binary, so that it links once; one module a subject.

/// PromQL against scripts in the grammar of Prometheus' own tests: ours, and Prometheus' where they are present.
mod promql;

/// Rule files of other projects, where they are present.
mod rules;
