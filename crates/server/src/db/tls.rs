//! TLS on the line to PostgreSQL: what a URL says of it (`sslmode`, `sslrootcert`, by the words of libpq), and which certificates are
//! believed.

use std::error::Error as _;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;

/// The word for the authorities that this machine believes.
const SYSTEM: &str = "system";

/// What is asked of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    /// No TLS.
    Disable,
    /// TLS where the server has it.
    #[default]
    Prefer,
    /// TLS, whoever the server is.
    Require,
    /// TLS with a server whose certificate a known authority has signed.
    VerifyCa,
    /// And that is for the name that we connect to.
    VerifyFull,
}

impl Mode {
    const ALL: [(&'static str, Self); 5] = [
        ("disable", Self::Disable),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];

    fn parse(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            let names = Self::ALL.map(|(name, _)| name).join(", ");
            format!("sslmode is none of {names}")
        })
    }

    /// As far as PostgreSQL's own protocol goes; the rest is about certificates.
    pub(super) const fn negotiated(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }
}

/// What a URL says of TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tls {
    pub(super) mode: Mode,
    /// A file with certificates of authorities, or [`SYSTEM`].
    authorities: Option<PathBuf>,
}

/// Takes out of a URL what is about TLS. The rest is for `tokio_postgres`, which knows neither `sslrootcert` nor the modes that
/// look at certificates.
///
/// # Errors
/// What is wrong, without what the URL says.
pub(super) fn split(url: &str) -> Result<(String, Tls), String> {
    // A password may hold a question mark.
    let credentials = url.find('@').map_or(0, |at| at + 1);
    let Some(query) = url[credentials..].find('?').map(|at| credentials + at) else {
        return Ok((url.to_owned(), Tls::default()));
    };
    let (mut mode, mut authorities, mut rest) = (None, None, String::new());
    for pair in url[query + 1..].split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = || {
            let decoded = percent_decode_str(value).decode_utf8();
            decoded.map(|value| value.into_owned()).map_err(|_| format!("{name} is not UTF-8"))
        };
        match name {
            "sslmode" => mode = Some(Mode::parse(&value()?)?),
            "sslrootcert" => {
                authorities = Some(PathBuf::from(value()?)).filter(|path| *path != PathBuf::new())
            }
            "ssl" => {
                return Err("ssl is no setting here: write sslmode=require, or another sslmode".to_owned());
            }
            _ => {
                let separator = if rest.is_empty() { '?' } else { '&' };
                let _ = write!(rest, "{separator}{pair}");
            }
        }
    }
    let mode = match (mode.unwrap_or_default(), &authorities) {
        (Mode::VerifyCa, None) => {
            return Err("sslmode=verify-ca needs sslrootcert, a file with the certificate of the authority"
                .to_owned());
        }
        // Anybody can have a certificate of one of those, for another name.
        (Mode::Prefer | Mode::Require | Mode::VerifyCa, Some(path)) if path.as_os_str() == SYSTEM => {
            return Err("sslrootcert=system needs sslmode=verify-full".to_owned());
        }
        // Whoever names an authority wants it to be looked at; so does libpq.
        (Mode::Require, Some(_)) => Mode::VerifyCa,
        (mode, _) => mode,
    };
    Ok((format!("{}{rest}", &url[..query]), Tls { mode, authorities }))
}

impl Tls {
    pub(super) const fn none() -> Self {
        Self { mode: Mode::Disable, authorities: None }
    }

    /// What rustls is told.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub(super) fn config(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let verifier: Arc<dyn ServerCertVerifier> = match self.mode {
            Mode::VerifyFull => {
                let roots = Arc::new(self.roots()?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider);
                verifier.build().map_err(|error| error.to_string())?
            }
            Mode::VerifyCa => Arc::new(AnyName { roots: Some(self.roots()?), algorithms }),
            Mode::Disable | Mode::Prefer | Mode::Require => Arc::new(AnyName { roots: None, algorithms }),
        };
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match self.authorities.as_ref().filter(|path| path.as_os_str() != SYSTEM) {
            Some(path) => {
                let told =
                    |reason: String| format!("sslrootcert {} cannot be read: {reason}", path.display());
                let certificates =
                    CertificateDer::pem_file_iter(path).map_err(|error| told(error.to_string()))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| told(error.to_string()))?;
                    roots.add(certificate).map_err(|error| told(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(told("there is no certificate in it (PEM)".to_owned()));
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err("this machine has no certificates of authorities (ca-certificates): name a file in sslrootcert"
                        .to_owned());
                }
            }
        }
        Ok(roots)
    }
}

/// Believes a certificate that one of these has signed, whatever name it is for; without them any.
#[derive(Debug)]
struct AnyName {
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What can be done about a line that was refused because of TLS.
pub(super) fn advice(error: &tokio_postgres::Error) -> Option<&'static str> {
    let source = error.source()?;
    if source.to_string() == "server does not support TLS" {
        return Some("turn on ssl in postgresql.conf, or say sslmode=disable where others cannot listen");
    }
    let inner = source.downcast_ref::<std::io::Error>()?.get_ref()?;
    let rustls::Error::InvalidCertificate(reason) = inner.downcast_ref::<rustls::Error>()? else {
        return None;
    };
    Some(match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "none of the authorities in sslrootcert has signed the database's certificate: name the file of the one that has"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "connect to a name that is in the certificate's subjectAltName, or say sslmode=verify-ca"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew the database's certificate"
        }
        CertificateError::Other(_) => {
            "if it is the certificate of an authority itself, have that sign one for the server, and name the authority's in sslrootcert"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str) -> (String, Mode, Option<String>) {
        let (rest, tls) = split(url).unwrap();
        (rest, tls.mode, tls.authorities.map(|path| path.display().to_string()))
    }

    #[test]
    fn what_is_about_tls_is_taken_out_of_a_url() {
        let url = |query: &str| format!("postgres://a:b@h/d{query}");
        for (query, rest, mode, authorities) in [
            ("", "", Mode::Prefer, None),
            ("?sslmode=disable", "", Mode::Disable, None),
            (
                "?connect_timeout=3&sslmode=require&options=-c%20x=1",
                "?connect_timeout=3&options=-c%20x=1",
                Mode::Require,
                None,
            ),
            ("?sslmode=verify-ca&sslrootcert=%2Fetc%2Fa%20b.pem", "", Mode::VerifyCa, Some("/etc/a b.pem")),
            ("?sslrootcert=/ca.pem&sslmode=require", "", Mode::VerifyCa, Some("/ca.pem")),
            ("?sslmode=verify-full", "", Mode::VerifyFull, None),
            ("?sslmode=verify-full&sslrootcert=system", "", Mode::VerifyFull, Some("system")),
            ("?sslrootcert=&channel_binding=require", "?channel_binding=require", Mode::Prefer, None),
        ] {
            assert_eq!(told(&url(query)), (url(rest), mode, authorities.map(str::to_owned)), "{query}");
        }
        // Neither a question mark nor the words in a password are settings.
        let odd = "postgres://a:b?sslmode=disable@h/d";
        assert_eq!(told(odd), (odd.to_owned(), Mode::Prefer, None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_being_repeated() {
        for (query, named) in [
            ("sslmode=hunter2", "verify-full"),
            ("sslmode=allow", "verify-full"),
            ("ssl=true", "sslmode=require"),
            ("sslmode=verify-ca", "sslrootcert"),
            ("sslmode=require&sslrootcert=system", "verify-full"),
            ("sslmode=%ff", "UTF-8"),
        ] {
            let refused = split(&format!("postgres://a:hunter2@h/d?{query}")).unwrap_err();
            assert!(refused.contains(named) && !refused.contains("hunter2"), "{query}: {refused}");
        }
    }

    #[test]
    fn authorities_that_are_not_there_are_named() {
        let config = |path: &std::path::Path| {
            let url = format!("postgres://h/d?sslmode=verify-full&sslrootcert={}", path.display());
            split(&url).unwrap().1.config().unwrap_err()
        };
        let missing = config(std::path::Path::new("/nowhere/ca.pem"));
        assert!(missing.contains("sslrootcert /nowhere/ca.pem"), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(config(file.path()).contains("no certificate"));
    }
}
