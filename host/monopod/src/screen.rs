//! What people see: a label, then the fact. Colours only on a terminal and without
//! `NO_COLOR`; `anstream` sees to that.

use std::io::Write;

use anstyle::{AnsiColor, Style};

/// Columns of a label; the longest are `recognition` and `component`.
const LABEL: usize = 10;

const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();

/// A fact on standard output.
pub fn line(label: &str, fact: &str) {
    print(&format!("{BOLD}{label:<LABEL$}{BOLD:#} {fact}"));
}

/// Any text on standard output. A closed pipe is no reason to fail.
pub fn print(text: &str) {
    let _closed = writeln!(anstream::stdout(), "{text}");
}

/// A warning that must be seen, on standard output with the facts it belongs to.
pub fn warning(label: &str, text: &str) {
    print(&format!("{YELLOW}{label:<LABEL$}{YELLOW:#} {text}"));
}

/// An error on standard error.
pub fn error(text: &str) {
    let _closed = writeln!(anstream::stderr(), "{RED}error{RED:#} {text}");
}

/// A mistake in a file on standard error, as `file:line:column: …` at the line's begin,
/// so that editors find it.
pub fn mistake(mistake: impl std::fmt::Display) {
    let _closed = writeln!(anstream::stderr(), "{mistake}");
}
