//! The certificate with which syslog is listened for, and whose certificates are asked for (RFC 5425).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

use crate::logs::FollowError;

/// The files of TLS, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and behind it those that lead to its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities of senders: only those with a certificate of one of them are let in.
    pub client_authority: Option<PathBuf>,
}

/// Reads them.
///
/// # Errors
/// When one cannot be read, or the key is not that of the certificate.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, FollowError> {
    let certificate = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&files.certificate, error))?;
    let builder = match &files.client_authority {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| wrong(path, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| wrong(path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder
        .with_single_cert(certificate, key)
        .map_err(|error| wrong(&files.key, error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FollowError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates: Vec<_> = read.map_err(|error| wrong(path, error))?;
    if certificates.is_empty() {
        return Err(wrong(path, "it holds no certificate"));
    }
    Ok(certificates)
}

fn wrong(path: &Path, why: impl ToString) -> FollowError {
    FollowError::Certificate {
        path: path.into(),
        why: why.to_string(),
    }
}
