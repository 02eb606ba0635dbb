//! Every fault, in the order of the table.

mod backup_broken;
mod backup_copied;
mod backup_missing;
mod backup_old;
mod backup_shrinking;
mod client_listener_full;
mod corrupt_alarm;
mod cpu_short_leader;
mod cpu_throttled_leader;
mod data_differs;
mod defrag;
mod descriptors;
mod disk_full;
mod elections_network;
mod elections_tight_timeouts;
mod foreign_endpoint;
mod foreign_member;
mod healthy;
mod io_throttled;
mod large_reads;
mod large_values;
mod leader_killed;
mod leader_moved;
mod learner_not_catching_up;
mod learner_promoted;
mod link_slow;
mod member_crash_loops;
mod member_down;
mod member_isolated;
mod member_not_replicating;
mod member_paused;
mod member_unreachable_from_here;
mod member_waits_for_quorum;
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
mod revision_backwards;
mod rolling_restart;
mod slow_disk_all;
mod slow_disk_follower;
mod slow_disk_leader;
mod snapshots;
mod two_clusters;
mod two_faults;
mod voter_not_started;

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
    voter_not_started::FAULT,
    foreign_member::FAULT,
    foreign_endpoint::FAULT,
    two_clusters::FAULT,
    member_crash_loops::FAULT,
    member_isolated::FAULT,
    learner_not_catching_up::FAULT,
    // Consistency.
    corrupt_alarm::FAULT,
    data_differs::FAULT,
    revision_backwards::FAULT,
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
    member_paused::FAULT,
    member_waits_for_quorum::FAULT,
    member_unreachable_from_here::FAULT,
    client_listener_full::FAULT,
    member_not_replicating::FAULT,
    cpu_throttled_leader::FAULT,
    cpu_short_leader::FAULT,
    leader_moved::FAULT,
    own_stall::FAULT,
    io_throttled::FAULT,
    defrag::FAULT,
    two_faults::FAULT,
    // Silence.
    learner_promoted::FAULT,
    leader_killed::FAULT,
    healthy::FAULT,
    rolling_restart::FAULT,
];
