//! The JSON rendering.

use std::io::{self, Write};

use serde::Serialize;

use super::Report;

/// Writes the report as one indented JSON document; that of a shard on one line, since logs of several
/// processes and streams mix by the line.
///
/// # Errors
/// As `out` does.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.shard.is_none() {
        return write_document(report, out);
    }
    serde_json::to_writer(&mut *out, report)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes one indented JSON document.
///
/// # Errors
/// As `out` does.
pub fn write_document(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    out.write_all(b"\n")?;
    out.flush()
}
