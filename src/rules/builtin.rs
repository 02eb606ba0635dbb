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
    ("rules/network.yaml", include_str!("../../rules/network.yaml")),
    ("rules/requests.yaml", include_str!("../../rules/requests.yaml")),
    ("rules/resources.yaml", include_str!("../../rules/resources.yaml")),
    ("rules/logs.yaml", include_str!("../../rules/logs.yaml")),
    (
        "rules/configuration.yaml",
        include_str!("../../rules/configuration.yaml"),
    ),
    ("rules/security.yaml", include_str!("../../rules/security.yaml")),
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
    "EtcdAllDisksSlow",
    "EtcdApplyLag",
    "EtcdBackendCommitSlow",
    "EtcdBackupBroken",
    "EtcdBackupMissing",
    "EtcdBackupShrinking",
    "EtcdBackupTooOld",
    "EtcdBackupUnverifiable",
    "EtcdBrokeOff",
    "EtcdCertificateExpired",
    "EtcdCertificateExpiresSoon",
    "EtcdClientCertificatesNotRequired",
    "EtcdClientConnectionsRejected",
    "EtcdClockDifference",
    "EtcdClusterIdMismatch",
    "EtcdClusterUnreachable",
    "EtcdCpuThrottled",
    "EtcdDataOnOsDisk",
    "EtcdDataOnRotationalDisk",
    "EtcdDefragInProgress",
    "EtcdDiskDeviceSlow",
    "EtcdDiskSpaceLow",
    "EtcdDoctorCollectorFailing",
    "EtcdElectionTimeoutTight",
    "EtcdEvenVoters",
    "EtcdFileDescriptorsLow",
    "EtcdFrequentElections",
    "EtcdHeartbeatsLate",
    "EtcdInodesLow",
    "EtcdInvalidWrites",
    "EtcdIoThrottled",
    "EtcdLargeReads",
    "EtcdLargeRequests",
    "EtcdLeaderChanged",
    "EtcdLeaderMoved",
    "EtcdMemberDown",
    "EtcdMemberLinkSlow",
    "EtcdMemberLostLeader",
    "EtcdMemberNotStarted",
    "EtcdMemoryHigh",
    "EtcdNetworkCausesElections",
    "EtcdNetworkCut",
    "EtcdNetworkSlow",
    "EtcdNoFailureTolerance",
    "EtcdNoLeader",
    "EtcdNobodyCompacts",
    "EtcdNoisyNeighbour",
    "EtcdPeerConnectionsRejected",
    "EtcdProposalsPilingUp",
    "EtcdQuorumLost",
    "EtcdQuotaAboveAdvised",
    "EtcdQuotaAlarmFull",
    "EtcdQuotaAlarmSpaceFreed",
    "EtcdQuotaDiffers",
    "EtcdQuotaFillsSoon",
    "EtcdQuotaFragmented",
    "EtcdQuotaHistoryGrows",
    "EtcdQuotaLowSpace",
    "EtcdRemovedMemberRefused",
    "EtcdRollingRestart",
    "EtcdShortOfCpu",
    "EtcdSlowDiskCausesElections",
    "EtcdSnapshotCountUnusual",
    "EtcdStoppedByFullDisk",
    "EtcdTimeoutsDiffer",
    "EtcdTooManyVoters",
    "EtcdVersionUnsupported",
    "EtcdVersionsMixed",
    "EtcdWalFsyncSlow",
    "EtcdWithoutTls",
];

/// The runbook of an alert, when it is a shipped one.
pub fn runbook(alert: &str) -> Option<&'static str> {
    let mut runbooks = RUNBOOKS.iter();
    runbooks.find(|(name, _)| *name == alert).map(|(_, text)| *text)
}
