//! Standard output: text or JSON, and quiet about a closed pipe.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// Where results go.
pub struct Output {
    stdout: BufWriter<Stdout>,
    json: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Output { stdout: BufWriter::new(io::stdout()), json }
    }

    /// True if JSON was asked for.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A line of text, and no more: what is in the store or comes of a component
    /// may hold anything, also what would drive a terminal.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.stdout.write_all(printable(text.as_ref()).as_bytes())?;
        self.stdout.write_all(b"\n")?;
        Ok(())
    }

    /// A JSON document on a line.
    pub fn document(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.stdout, value).map_err(io::Error::from)?;
        self.stdout.write_all(b"\n")?;
        Ok(())
    }

    /// Everything so far, now.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.stdout.flush()?)
    }

    /// The stream itself.
    pub fn writer(&mut self) -> &mut impl Write {
        &mut self.stdout
    }
}

/// True if the reader of standard output has gone.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}

/// The text with control characters escaped.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect::<String>().into()
}

/// Characters of an error that are shown.
const SHOWN: usize = 4000;

/// An error and its causes on one line, each said once.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    printable(&text).into_owned()
}

/// A progress bar on a terminal, nothing elsewhere.
pub fn bar(label: &str, length: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = "{prefix:30} {bar:30} {human_pos:>9}/{human_len:<9} {per_sec:>14} {eta:>4}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_prefix(label.to_owned());
    bar
}
