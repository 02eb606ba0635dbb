//! Every fault, in the order of the table.

mod healthy;
mod leader_killed;
mod member_down;
mod quorum_lost;
mod quota_freed;
mod quota_full;
mod slow_disk_leader;

use super::Fault;

pub(super) const FAULTS: &[Fault] = &[
    // Quota.
    quota_full::FAULT,
    quota_freed::FAULT,
    // Slow operations.
    slow_disk_leader::FAULT,
    // Availability.
    member_down::FAULT,
    quorum_lost::FAULT,
    // Silence.
    leader_killed::FAULT,
    healthy::FAULT,
];
