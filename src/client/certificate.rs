//! How long certificates are valid: of a PEM file, or of what a server showed in a handshake.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::proc::unreadable;
use crate::model::{CollectError, Reason};

/// The largest file that is read: the bundle of all public CAs has a quarter of it.
const FILE_LIMIT: u64 = 1 << 20;

/// For how long some certificates are valid, in seconds since the epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    /// From when on all of them are; none where only an expiry is known.
    pub not_before: Option<i64>,
    /// Until when all of them are: the earliest expiry; none where only their beginning is known.
    pub not_after: Option<i64>,
    /// Until when at least one of them is: the latest expiry. In a bundle of CAs an old one may have expired while the
    /// new one serves.
    pub last_not_after: Option<i64>,
}

impl Validity {
    /// Of an expiry of which nothing else is known.
    pub(super) const fn until(not_after: i64) -> Self {
        Self {
            not_before: None,
            not_after: Some(not_after),
            last_not_after: Some(not_after),
        }
    }

    /// Of a beginning of which nothing else is known.
    pub(super) const fn from(not_before: i64) -> Self {
        Self {
            not_before: Some(not_before),
            not_after: None,
            last_not_after: None,
        }
    }

    /// Of certificates in DER.
    ///
    /// # Errors
    /// In words, when one cannot be parsed or there is none.
    pub fn of(certificates: &[CertificateDer<'_>]) -> Result<Self, String> {
        let mut all: Option<Self> = None;
        for (at, der) in certificates.iter().enumerate() {
            let (_, certificate) = X509Certificate::from_der(der)
                .map_err(|error| format!("certificate {} of it cannot be parsed: {error}", at + 1))?;
            let dates = certificate.validity();
            let (begin, end) = (dates.not_before.timestamp(), dates.not_after.timestamp());
            let before = all.unwrap_or(Self {
                not_before: None,
                ..Self::until(end)
            });
            all = Some(Self {
                not_before: before.not_before.max(Some(begin)),
                not_after: before.not_after.min(Some(end)),
                last_not_after: before.last_not_after.max(Some(end)),
            });
        }
        all.ok_or_else(|| "holds no PEM certificate".to_owned())
    }

    /// Of all certificates in a PEM file. A key beside them is passed over.
    ///
    /// # Errors
    /// Names the file and what is wrong with it: missing, not readable and to whom it is, empty, no certificate.
    pub fn of_file(path: &Path) -> Result<Self, CollectError> {
        let bytes = read(path).map_err(|error| refused(path, &error))?;
        if bytes.is_empty() {
            return Err(malformed(path, "is empty"));
        }
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(malformed(
                path,
                &format!("is larger than {FILE_LIMIT} bytes, which no certificate file is"),
            ));
        }
        let certificates = from_pem(&bytes).map_err(|why| malformed(path, &why))?;
        Self::of(&certificates).map_err(|why| malformed(path, &why))
    }
}

/// The certificates of a PEM text; a text without one is an error, since a library would take it for an empty list.
pub(super) fn from_pem(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not a valid PEM file: {error}"))?;
    if found.is_empty() {
        return Err("holds no PEM certificate".to_owned());
    }
    Ok(found)
}

/// At most one byte more than the limit.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn malformed(path: &Path, why: &str) -> CollectError {
    CollectError {
        reason: Reason::Malformed,
        message: format!("{} {why}", path.display()),
        fix: "put the certificate there in PEM (-----BEGIN CERTIFICATE-----), or correct the path; etcd reads its files \
              again at the next handshake"
            .into(),
    }
}

/// Why a file could not be read, with whose it is where that is what stands in the way.
fn refused(path: &Path, error: &io::Error) -> CollectError {
    let told = unreadable(path, "read", error);
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let owned = match fs::metadata(path) {
                Ok(file) => format!(
                    "its mode is {:04o}, its owner user {} and group {}",
                    file.mode() & 0o7777,
                    file.uid(),
                    file.gid()
                ),
                Err(_) => "a folder on the way to it may not be searched".to_owned(),
            };
            CollectError {
                message: format!("{}; {owned}", told.message),
                ..told
            }
        }
        io::ErrorKind::NotFound => CollectError {
            fix: "put the file there, or correct the path in the flags or the settings that name it".into(),
            ..told
        },
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    /// A certificate in PEM that is valid from the first day of one year to that of another.
    fn pem(from: i32, until: i32) -> String {
        let mut params = CertificateParams::new(vec!["host".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn of(text: &str) -> Result<Validity, CollectError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Validity::of_file(file.path())
    }

    #[test]
    fn of_several_certificates_the_earliest_expiry_counts_and_the_latest_is_known() {
        let one = of(&pem(2020, 2030)).unwrap();
        assert_eq!(
            (one.not_before, one.not_after, one.last_not_after),
            (Some(1_577_836_800), Some(1_893_456_000), Some(1_893_456_000))
        );
        let key = KeyPair::generate().unwrap().serialize_pem();
        let both = of(&(pem(2020, 2040) + &key + &pem(2021, 2030))).unwrap();
        assert_eq!(
            (both.not_before, both.not_after, both.last_not_after),
            (Some(1_609_459_200), Some(1_893_456_000), Some(2_208_988_800))
        );
    }

    #[test]
    fn what_is_no_certificate_is_said_in_words() {
        let pem = pem(2020, 2030);
        let half = &pem[..pem.len() / 2];
        let key = KeyPair::generate().unwrap().serialize_pem();
        let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, expected) in [
            ("", " is empty"),
            ("hello\n", " holds no PEM certificate"),
            (&key, " holds no PEM certificate"),
            (half, " is not a valid PEM file: "),
            (no_der, " certificate 1 of it cannot be parsed: "),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.message.contains(expected), "{error}");
            assert!(error.fix.contains("BEGIN CERTIFICATE"));
        }
        let huge = of(&" ".repeat(FILE_LIMIT as usize + 1)).unwrap_err();
        assert!(huge.message.contains("larger than"), "{huge}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Validity::of_file(Path::new("/nonexistent/server.crt")).unwrap_err();
        assert!(
            error
                .message
                .starts_with("could not read /nonexistent/server.crt: "),
            "{error}"
        );
        assert!(error.fix.contains("correct the path"));
    }

    #[test]
    fn a_file_that_may_not_be_read_tells_whose_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let denied = refused(file.path(), &io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.reason, Reason::PermissionDenied);
        assert!(
            denied.message.contains("its mode is 0600, its owner user "),
            "{denied}"
        );
        assert!(denied.fix.contains("as root"));
    }
}
