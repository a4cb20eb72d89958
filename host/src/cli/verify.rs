//! `host verify` and `host reindex`.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use tracker_host::types::Severity;

use super::{Exit, OpenArgs, Output};

/// Check every page of the data file, every record, every index against its records and the other way round
///
/// Damaged pages are an error; there are no checksums, so a value that was changed and is
/// still well-formed is noticed only where an index says otherwise.
/// The exit code is 3 if there are errors. Warnings are about values that came
/// from the source database as they are, for instance malformed JSON text.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  host verify store\n  host verify store --json")]
pub struct VerifyArgs {
    /// The store
    store: PathBuf,
    /// Print warnings too
    #[arg(long)]
    warnings: bool,
    #[command(flatten)]
    open: OpenArgs,
}

/// Rebuild all indexes from the records
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  host reindex store && host verify store")]
pub struct ReindexArgs {
    /// The store
    store: PathBuf,
    #[command(flatten)]
    open: OpenArgs,
}

pub fn verify(args: VerifyArgs, output: &mut Output) -> Result<Exit> {
    let mut tracker = args.open.options(&args.store).create(false).check_pages(true).open()?;
    let report = tracker.verify()?;
    let unfinished = tracker.get_import_state()?;
    let severity = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    if output.is_json() {
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "severity": severity(finding.severity),
                    "table": finding.table,
                    "key": finding.key,
                    "message": finding.message,
                })
            })
            .collect();
        output.document(&json!({
            "records": report.records,
            "index-entries": report.index_entries,
            "errors": report.errors,
            "warnings": report.warnings,
            "findings": findings,
            "unfinished-import": unfinished,
        }))?;
    } else {
        for finding in &report.findings {
            if args.warnings || finding.severity == Severity::Error {
                let (severity, table) = (severity(finding.severity), &finding.table);
                output.line(format!("{severity}: {table} {}: {}", finding.key, finding.message))?;
            }
        }
        output.line(format!(
            "{} records and {} index entries checked: {} errors, {} warnings",
            report.records, report.index_entries, report.errors, report.warnings
        ))?;
        if let Some(unfinished) = &unfinished {
            output.line(format!("INCOMPLETE: a migration has not finished: {unfinished}"))?;
        }
    }
    Ok(if report.errors > 0 || unfinished.is_some() { Exit::Noteworthy } else { Exit::Done })
}

pub fn reindex(args: ReindexArgs, output: &mut Output) -> Result<Exit> {
    let mut tracker = args.open.open(&args.store)?;
    let records = tracker.reindex()?;
    if output.is_json() {
        output.document(&json!({ "records": records }))?;
    } else {
        output.line(format!("the indexes of {records} records were rebuilt"))?;
    }
    Ok(Exit::Done)
}
