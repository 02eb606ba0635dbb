//! Every fault, in the order of the table.

mod backup_broken;
mod backup_copied;
mod backup_missing;
mod backup_old;
mod backup_shrinking;
mod cpu_short_leader;
mod cpu_throttled_leader;
mod defrag;
mod descriptors;
mod disk_full;
mod elections_network;
mod elections_tight_timeouts;
mod healthy;
mod io_throttled;
mod large_reads;
mod large_values;
mod leader_killed;
mod leader_moved;
mod link_slow;
mod member_down;
mod network_slow;
mod one_way_cut;
mod own_stall;
mod quorum_lost;
mod quota_above_advised;
mod quota_differs;
mod quota_fragmented;
mod quota_freed;
mod quota_full;
mod quota_history;
mod quota_low_fragmented;
mod quota_low_history;
mod quota_low_live;
mod requests_too_large;
mod rolling_restart;
mod slow_disk_all;
mod slow_disk_follower;
mod slow_disk_leader;
mod snapshots;
mod two_faults;

use super::Fault;

pub(super) const FAULTS: &[Fault] = &[
    // Quota.
    quota_full::FAULT,
    quota_freed::FAULT,
    quota_low_history::FAULT,
    quota_low_live::FAULT,
    quota_low_fragmented::FAULT,
    quota_fragmented::FAULT,
    quota_history::FAULT,
    quota_above_advised::FAULT,
    quota_differs::FAULT,
    // Election.
    elections_network::FAULT,
    elections_tight_timeouts::FAULT,
    one_way_cut::FAULT,
    // Slow operations.
    slow_disk_leader::FAULT,
    slow_disk_follower::FAULT,
    slow_disk_all::FAULT,
    large_values::FAULT,
    large_reads::FAULT,
    requests_too_large::FAULT,
    network_slow::FAULT,
    link_slow::FAULT,
    // Availability.
    member_down::FAULT,
    quorum_lost::FAULT,
    // Resources.
    descriptors::FAULT,
    disk_full::FAULT,
    // Backup.
    backup_missing::FAULT,
    backup_old::FAULT,
    backup_broken::FAULT,
    backup_copied::FAULT,
    backup_shrinking::FAULT,
    // Look-alikes.
    cpu_throttled_leader::FAULT,
    cpu_short_leader::FAULT,
    leader_moved::FAULT,
    own_stall::FAULT,
    io_throttled::FAULT,
    defrag::FAULT,
    two_faults::FAULT,
    // Silence.
    leader_killed::FAULT,
    healthy::FAULT,
    rolling_restart::FAULT,
];
