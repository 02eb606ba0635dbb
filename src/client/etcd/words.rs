//! The words for what etcd itself answers: a refusal is told from a missing leader, and each says what to do.

use tonic::Code;

use crate::client::Login;
use crate::client::endpoint::Endpoint;
use crate::model::{CollectError, Reason};

/// What etcd says of a token from before the last change of users and roles.
pub(super) const OLD_REVISION: &str = "revision of auth store is old";

/// The words for an error that the member itself answered.
pub(super) fn answered(
    name: &str,
    endpoint: &Endpoint,
    login: Option<&Login>,
    status: &tonic::Status,
) -> CollectError {
    let message = status.message();
    let (reason, why, fix) = if message.contains("user name is empty") {
        (
            Reason::Unauthenticated,
            "the cluster demands authentication and no user is configured".to_owned(),
            "configure username and password_file, or a client certificate whose common name is the user"
                .to_owned(),
        )
    } else if message.contains("invalid user ID or password") {
        let user = login.map_or("", |login| &login.username);
        (
            Reason::Unauthenticated,
            format!("the name {user:?} or its password is wrong"),
            "correct username and password_file; a server tries again once a minute".to_owned(),
        )
    } else if status.code() == Code::Unauthenticated || message.contains(OLD_REVISION) {
        (
            Reason::Unauthenticated,
            format!("the token was refused: {message}"),
            "check the user in etcd with `etcdctl user get`".to_owned(),
        )
    } else if is_forbidden(status) {
        (
            Reason::PermissionDenied,
            format!("the user may not do this: {message}"),
            opened_by(name).to_owned(),
        )
    } else if status.code() == Code::Unimplemented {
        (
            Reason::Refused,
            format!("it does not know the call: {message}"),
            "check that this is an etcd of version 3.4 or newer".to_owned(),
        )
    } else if status.code() == Code::DeadlineExceeded
        || message.contains("deadline exceeded")
        || message.contains("request timed out")
    {
        (
            Reason::Timeout,
            format!("the member answered that it ran out of time: {message}"),
            "see whether the cluster has a leader and a quorum".to_owned(),
        )
    } else {
        let fix = if message.contains("no leader") {
            "see whether enough members run for a quorum and reach each other"
        } else {
            ""
        };
        (
            Reason::Refused,
            format!("the member answered: {message}"),
            fix.to_owned(),
        )
    };
    CollectError {
        reason,
        message: format!("{name} at {endpoint}: {why}"),
        fix,
    }
}

/// Whether a status says that the user is known and may not do this.
pub(super) fn is_forbidden(status: &tonic::Status) -> bool {
    status.code() == Code::PermissionDenied || status.message().contains("permission denied")
}

/// The words for a token that etcd issued and refused at once.
pub(super) fn fresh_token_refused(endpoint: &Endpoint, status: &tonic::Status) -> CollectError {
    CollectError {
        reason: Reason::Unauthenticated,
        message: format!(
            "Authenticate at {endpoint}: the member issues tokens and refuses them at once: {}",
            status.message()
        ),
        fix: "see that --auth-token is the same on every member, with the same keys and a lifetime above 0, and that \
              their clocks agree; a server tries again once a minute"
            .into(),
    }
}

/// Which releases open a call that is refused to a user without the root role.
fn opened_by(name: &str) -> &'static str {
    match name {
        "Status" => {
            "Status needs the root role in etcd 3.4.42 and newer 3.4, 3.5.28 to 3.5.31 and 3.6.0 to 3.6.11; from 3.5.32, \
             3.6.12 and 3.7 any user may call it: upgrade to one of these. Until then size, quota and leader are read \
             from the member's /metrics"
        }
        "MemberList" => {
            "MemberList needs the root role in etcd 3.4.42, 3.5.28 and 3.6.9; from 3.4.43, 3.5.29 and 3.6.10 any user may \
             call it: upgrade to one of these, and until then list every member as an endpoint"
        }
        "HashKV" => {
            "HashKV needs the root role in every release: give hashkv_interval a user with it, or leave it out and have \
             etcd compare by itself (--experimental-corrupt-check-time)"
        }
        _ => "grant the user a role that may read the key `health`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(name: &str, code: Code, message: &str) -> CollectError {
        let endpoint = Endpoint::parse("http://10.0.0.1:2379", false).unwrap();
        answered(name, &endpoint, None, &tonic::Status::new(code, message))
    }

    #[test]
    fn what_etcd_answers_has_its_reason_and_names_the_endpoint() {
        for (code, message, reason) in [
            (
                Code::InvalidArgument,
                "etcdserver: user name is empty",
                Reason::Unauthenticated,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                Reason::Unauthenticated,
            ),
            (
                Code::Unauthenticated,
                "etcdserver: invalid auth token",
                Reason::Unauthenticated,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: revision of auth store is old",
                Reason::Unauthenticated,
            ),
            (
                Code::PermissionDenied,
                "etcdserver: permission denied",
                Reason::PermissionDenied,
            ),
            (Code::Unknown, "auth: permission denied", Reason::PermissionDenied),
            (Code::Unavailable, "etcdserver: no leader", Reason::Refused),
            (
                Code::Unavailable,
                "etcdserver: request timed out",
                Reason::Timeout,
            ),
            (Code::Unknown, "context deadline exceeded", Reason::Timeout),
            (Code::Unimplemented, "unknown service", Reason::Refused),
        ] {
            let error = words("Status", code, message);
            assert_eq!(error.reason, reason, "{message}");
            assert!(error.message.contains("http://10.0.0.1:2379"), "{error}");
        }
    }

    #[test]
    fn a_refused_status_names_the_releases_that_open_it() {
        let error = words("Status", Code::PermissionDenied, "etcdserver: permission denied");
        assert!(error.fix.contains("3.5.32"), "{}", error.fix);
    }
}
