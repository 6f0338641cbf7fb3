//! An advisory becomes something that assets are held against.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use portcullis_knowledge::advisory::csaf::{self, CsafError, Document};
use portcullis_model::{Digest, sanitize};
use portcullis_store::KeptAdvisory;
use serde::Serialize;
use serde_json::json;

use crate::{Desk, OpsError, desk::text_of};

/// How much of a file is looked at to find out whether it is an advisory.
const HEAD: u64 = 64;

/// An advisory that was imported.
#[derive(Debug, Clone, Serialize)]
pub struct ImportedAdvisory {
    /// The file, as it may be shown.
    pub file: String,
    /// The name of the advisory.
    pub id: String,
    /// The version of the document.
    pub version: String,
    /// Who published it.
    pub publisher: String,
    /// What it is about.
    pub title: String,
    /// `draft`, `interim` or `final`.
    pub status: String,
    /// On how many vulnerabilities it makes statements.
    pub vulnerabilities: usize,
    /// The version that was there before.
    pub before: Option<String>,
    /// Whether it is kept: not when the same version or a later one was there.
    pub kept: bool,
    /// Versions that cannot be read, as the document writes them; hosts with these products get "cannot tell".
    pub unread: Vec<String>,
}

/// Whether a file is an advisory. It is read from its beginning again afterwards.
pub(super) fn is_one(content: &mut File) -> io::Result<bool> {
    let mut head = Vec::new();
    content.take(HEAD).read_to_end(&mut head)?;
    content.seek(SeekFrom::Start(0))?;
    Ok(csaf::is_csaf(&utf8(head)))
}

/// PowerShell redirects as UTF-16; what cannot be read so stays as it is, and is refused as JSON.
fn utf8(bytes: Vec<u8>) -> Vec<u8> {
    text_of(bytes.clone()).map_or(bytes, String::into_bytes)
}

/// Reads an advisory and keeps it, unless the same version or a later one is there.
pub(super) async fn import(desk: &Desk, path: &Path, content: File) -> Result<ImportedAdvisory, OpsError> {
    let mut bytes = Vec::new();
    let limit = csaf::MAX_BYTES as u64 + 1;
    let read = content.take(limit).read_to_end(&mut bytes);
    read.map_err(|source| OpsError::Read {
        path: path.into(),
        source,
    })?;
    let bytes = utf8(bytes);
    let wrong = |source: CsafError| OpsError::Csaf {
        path: path.into(),
        source,
    };
    let document = Document::read(&bytes).map_err(wrong)?;
    let file = sanitize(&path.to_string_lossy());
    let details = json!({
        "file": file, "digest": Digest::of(&bytes), "format": "csaf",
        "namespace": document.namespace, "id": document.id, "version": document.version,
    });
    desk.record("import", format!("{file} (csaf)"), details).await?;
    let kept = KeptAdvisory {
        namespace: document.namespace.clone(),
        id: document.id.clone(),
        version: document.version.clone(),
        record: serde_json::to_value(&document).map_err(OpsError::KeptAdvisory)?,
    };
    let newer = |before: &str| document.is_newer_than(before);
    let before = desk
        .store
        .keep_advisory(&kept, newer)
        .await
        .map_err(OpsError::Store)?;
    Ok(ImportedAdvisory {
        file,
        id: sanitize(&document.id),
        publisher: sanitize(&document.publisher),
        title: sanitize(&document.title),
        status: sanitize(&document.status),
        vulnerabilities: document.vulnerabilities(),
        kept: before.as_deref().is_none_or(newer),
        before: before.as_deref().map(sanitize),
        unread: document.unread().iter().map(|text| sanitize(text)).collect(),
        version: sanitize(&document.version),
    })
}
