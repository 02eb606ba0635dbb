//! The shipped rule files and their runbooks, embedded, so that the binary works with no files beside it.

/// File names and texts, in the order in which they are evaluated.
pub const FILES: &[(&str, &str)] = &[
    (
        "rules/availability.yaml",
        include_str!("../../rules/availability.yaml"),
    ),
    ("rules/quota.yaml", include_str!("../../rules/quota.yaml")),
    ("rules/election.yaml", include_str!("../../rules/election.yaml")),
    ("rules/disk.yaml", include_str!("../../rules/disk.yaml")),
    ("rules/backup.yaml", include_str!("../../rules/backup.yaml")),
    (
        "rules/monitoring.yaml",
        include_str!("../../rules/monitoring.yaml"),
    ),
];

macro_rules! runbooks {
    ($($alert:literal),* $(,)?) => {
        &[$(($alert, include_str!(concat!("../../docs/runbooks/", $alert, ".md")))),*]
    };
}

/// What to know about each shipped alert: its name and a Markdown text.
pub const RUNBOOKS: &[(&str, &str)] = runbooks![
    "EtcdBackendCommitSlow",
    "EtcdBackupBroken",
    "EtcdBackupMissing",
    "EtcdBackupShrinking",
    "EtcdBackupTooOld",
    "EtcdBackupUnverifiable",
    "EtcdClusterUnreachable",
    "EtcdDiskDeviceSlow",
    "EtcdDoctorCollectorFailing",
    "EtcdFrequentElections",
    "EtcdLeaderChanged",
    "EtcdMemberDown",
    "EtcdMemberNotStarted",
    "EtcdNoFailureTolerance",
    "EtcdNoLeader",
    "EtcdQuorumLost",
    "EtcdQuotaAlarmFull",
    "EtcdQuotaAlarmSpaceFreed",
    "EtcdQuotaFillsSoon",
    "EtcdQuotaLowSpace",
    "EtcdSlowDiskCausesElections",
    "EtcdWalFsyncSlow",
];

/// The runbook of an alert, when it is a shipped one.
pub fn runbook(alert: &str) -> Option<&'static str> {
    let mut runbooks = RUNBOOKS.iter();
    runbooks.find(|(name, _)| *name == alert).map(|(_, text)| *text)
}
