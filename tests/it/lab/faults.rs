//! Every fault, in the order of the table.

mod apply_lag;
mod backup_broken;
mod backup_copied;
mod backup_missing;
mod backup_old;
mod backup_shrinking;
mod certificate_expired;
mod certificate_expiring;
mod certificate_not_yet_valid;
mod client_certificates_not_required;
mod client_listener_full;
mod clients_rejected;
mod clock_behind;
mod clock_difference;
mod cluster_id_mismatch;
mod corrupt_alarm;
mod cpu_short_leader;
mod cpu_throttled_leader;
mod data_differs;
mod data_on_os_disk;
mod database_write_fails;
mod defrag;
mod descriptors;
mod disk_full;
mod elections_cpu;
mod elections_crash_loop;
mod elections_network;
mod elections_paused;
mod elections_tight_timeouts;
mod even_voters;
mod foreign_endpoint;
mod foreign_member;
mod healthy;
mod healthy_compared;
mod inodes;
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
mod member_wiped;
mod memory_high;
mod network_slow;
mod nobody_compacts;
mod noisy_neighbour;
mod one_way_cut;
mod own_certificate_expired;
mod own_certificate_expiring;
mod own_stall;
mod peer_certificate_expired;
mod peer_certificate_expiring;
mod peer_certificate_not_yet_valid;
mod proposals_piling_up;
mod quorum_lost;
mod quota_above_advised;
mod quota_differs;
mod quota_fills_soon;
mod quota_fragmented;
mod quota_freed;
mod quota_full;
mod quota_history;
mod quota_low_fragmented;
mod quota_low_history;
mod quota_low_live;
mod removed_member_refused;
mod removed_member_runs;
mod requests_too_large;
mod revision_backwards;
mod rolling_restart;
mod rotational_disk;
mod slow_device;
mod slow_disk_all;
mod slow_disk_follower;
mod slow_disk_leader;
mod snapshot_count;
mod snapshots;
mod timeouts_differ;
mod timeouts_tight;
mod too_many_voters;
mod two_clusters;
mod two_faults;
mod two_leaders;
mod version_unsupported;
mod versions_mixed;
mod voter_not_started;
mod without_tls;

use super::Fault;

pub(super) const FAULTS: &[Fault] = &[
    // Quota.
    quota_full::FAULT,
    quota_freed::FAULT,
    quota_low_history::FAULT,
    quota_low_live::FAULT,
    quota_low_fragmented::FAULT,
    quota_fills_soon::FAULT,
    quota_fragmented::FAULT,
    quota_history::FAULT,
    quota_above_advised::FAULT,
    quota_differs::FAULT,
    // Election.
    elections_network::FAULT,
    elections_tight_timeouts::FAULT,
    one_way_cut::FAULT,
    elections_paused::FAULT,
    elections_crash_loop::FAULT,
    elections_cpu::FAULT,
    // Slow operations.
    slow_disk_leader::FAULT,
    slow_disk_follower::FAULT,
    slow_disk_all::FAULT,
    slow_device::FAULT,
    proposals_piling_up::FAULT,
    apply_lag::FAULT,
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
    cluster_id_mismatch::FAULT,
    member_wiped::FAULT,
    removed_member_runs::FAULT,
    removed_member_refused::FAULT,
    two_leaders::FAULT,
    // Consistency.
    corrupt_alarm::FAULT,
    data_differs::FAULT,
    revision_backwards::FAULT,
    // Resources.
    descriptors::FAULT,
    disk_full::FAULT,
    database_write_fails::FAULT,
    inodes::FAULT,
    memory_high::FAULT,
    clock_behind::FAULT,
    clock_difference::FAULT,
    // Configuration.
    timeouts_differ::FAULT,
    timeouts_tight::FAULT,
    snapshot_count::FAULT,
    nobody_compacts::FAULT,
    versions_mixed::FAULT,
    version_unsupported::FAULT,
    even_voters::FAULT,
    too_many_voters::FAULT,
    data_on_os_disk::FAULT,
    rotational_disk::FAULT,
    // Security.
    without_tls::FAULT,
    client_certificates_not_required::FAULT,
    certificate_expired::FAULT,
    certificate_expiring::FAULT,
    certificate_not_yet_valid::FAULT,
    peer_certificate_expired::FAULT,
    peer_certificate_expiring::FAULT,
    peer_certificate_not_yet_valid::FAULT,
    own_certificate_expired::FAULT,
    own_certificate_expiring::FAULT,
    clients_rejected::FAULT,
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
    noisy_neighbour::FAULT,
    defrag::FAULT,
    two_faults::FAULT,
    // Silence.
    learner_promoted::FAULT,
    leader_killed::FAULT,
    healthy::FAULT,
    healthy_compared::FAULT,
    rolling_restart::FAULT,
];
