//! TLS, with libpq's modes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::OpenError;

/// What is asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Mode {
    Disable,
    /// TLS if the server has it, whoever it is.
    Prefer,
    /// TLS, whoever the server is.
    Require,
    /// A certificate of one of the roots.
    VerifyCa,
    /// And of the host that was asked for.
    VerifyFull,
}

/// How to encrypt.
#[derive(Clone)]
pub(super) struct Tls {
    mode: Mode,
    connect: MakeRustlsConnect,
}

fn unusable<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    parameter: &'static str,
    path: &Path,
) -> impl Fn(E) -> OpenError {
    move |error| OpenError::File { parameter, path: path.display().to_string(), source: error.into() }
}

impl Tls {
    pub(super) fn new(
        mode: Option<&str>,
        roots: Option<PathBuf>,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Self, OpenError> {
        let mode = match mode {
            Some("disable") => Mode::Disable,
            None | Some("allow" | "prefer") => Mode::Prefer,
            // As libpq has it: whoever names roots wants them used.
            Some("require") if roots.is_some() => Mode::VerifyCa,
            Some("require") => Mode::Require,
            Some("verify-ca") => Mode::VerifyCa,
            Some("verify-full") => Mode::VerifyFull,
            Some(_) => {
                let modes = "disable, prefer, require, verify-ca or verify-full";
                return Err(OpenError::Url(format!("sslmode is none of {modes}")));
            }
        };
        let provider = Arc::new(ring::default_provider());
        let inner = match mode {
            Mode::VerifyCa | Mode::VerifyFull => {
                let roots = read_roots(roots.as_deref().filter(|path| *path != Path::new("system")))?;
                let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build();
                Some(verifier.map_err(|_| OpenError::NoRoots)?)
            }
            Mode::Disable | Mode::Prefer | Mode::Require => None,
        };
        let verifier = Verifier { inner, name: mode == Mode::VerifyFull, provider: provider.clone() };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| OpenError::Url(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match (certificate, key) {
            (None, None) => config.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let bad = unusable("sslcert", &certificate);
                let chain = CertificateDer::pem_file_iter(&certificate).map_err(&bad)?;
                let chain = chain.collect::<Result<Vec<_>, _>>().map_err(bad)?;
                let bytes = PrivateKeyDer::from_pem_file(&key).map_err(unusable("sslkey", &key))?;
                config.with_client_auth_cert(chain, bytes).map_err(unusable("sslcert", &certificate))?
            }
            _ => return Err(OpenError::Url("of sslcert and sslkey it names one alone".into())),
        };
        Ok(Tls { mode, connect: MakeRustlsConnect::new(config) })
    }

    pub(super) fn mode(&self) -> SslMode {
        match self.mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        }
    }

    pub(super) fn connect(&self) -> MakeRustlsConnect {
        self.connect.clone()
    }
}

fn read_roots(file: Option<&Path>) -> Result<RootCertStore, OpenError> {
    let mut roots = RootCertStore::empty();
    match file {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(file) => {
            let bad = unusable("sslrootcert", file);
            for certificate in CertificateDer::pem_file_iter(file).map_err(&bad)? {
                roots.add(certificate.map_err(&bad)?).map_err(unusable("sslrootcert", file))?;
            }
        }
    }
    if roots.is_empty() { Err(OpenError::NoRoots) } else { Ok(roots) }
}

/// Checks as much of the server's certificate as the mode asks for.
#[derive(Debug)]
struct Verifier {
    /// None if it may be anybody.
    inner: Option<Arc<WebPkiServerVerifier>>,
    name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is what is looked at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
