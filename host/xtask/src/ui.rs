//! What people see while they wait: one line for each step, redrawn in place on a terminal,
//! and written every few seconds elsewhere.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Between two lines of one step where lines cannot be redrawn: at first often enough to see
/// that it lives, after a minute seldom enough for the log of an eight-minute build.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
const PLAIN_LATER: Duration = Duration::from_secs(30);
/// Between two drawings on a terminal: smooth for the eye, cheap for a program that prints much.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// Characters of the first column, as wide as its longest word and three spaces.
const LABEL: usize = 11;
/// Characters of a line that is redrawn; a longer one would wrap, and wrapped lines stay.
const WIDTH: usize = 78;
/// Cells of a bar.
const BAR: usize = 10;

/// A step under way: begun once, ended by `done` or `failed`.
pub struct Step {
    label: String,
    started: Instant,
    /// When something was last drawn or written.
    written: Option<Instant>,
    terminal: bool,
}

impl Step {
    /// Begins a step.
    pub fn begin(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            started: Instant::now(),
            written: None,
            terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Says how far it is. May be called as often as one likes.
    pub fn tick(&mut self, text: &str) {
        let elapsed = self.started.elapsed();
        let every = match (self.terminal, elapsed.as_secs()) {
            (true, _) => DRAW_EVERY,
            (false, 0..60) => PLAIN_EVERY,
            (false, _) => PLAIN_LATER,
        };
        // A terminal shows the step at once; a log hears of it only if it takes long.
        let since = self.written.or((!self.terminal).then_some(self.started));
        if since.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.written = Some(Instant::now());
        let line = format!("{:LABEL$}{text}  {}", self.label, duration(elapsed));
        if self.terminal {
            put(&format!("\r\x1b[K{}", line.chars().take(WIDTH).collect::<String>()));
        } else {
            put(&format!("{line}\n"));
        }
    }

    /// Ends it well; says how long it took where that is worth a word.
    pub fn done(self, text: &str) {
        self.end(text);
    }

    /// Ends it badly. The reason is for whoever called to print.
    pub fn failed(self, text: &str) {
        self.end(&paint("31", text));
    }

    fn end(self, text: &str) {
        let mut line = format!("{:LABEL$}{text}", self.label);
        let elapsed = self.started.elapsed();
        if elapsed >= Duration::from_millis(500) {
            // Writing to a String cannot fail.
            let _ = write!(line, "  {}", duration(elapsed));
        }
        put(&if self.terminal { format!("\r\x1b[K{line}\n") } else { format!("{line}\n") });
    }
}

/// A line outside of any step, indented below the labels.
pub fn note(text: &str) {
    put(&format!("{:LABEL$}{text}\n", ""));
}

/// A line with a label, without a step.
pub fn line(label: &str, text: &str) {
    put(&format!("{label:LABEL$}{text}\n"));
}

/// Output of another program, shown as it is.
pub fn block(text: &str) {
    put(text);
    if !text.ends_with('\n') {
        put("\n");
    }
}

/// Whether colours may be used: on a terminal, unless `NO_COLOR` asks for none.
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A tick mark for a thing that is as it should be.
pub fn tick_mark() -> String {
    paint("32", "✓")
}

fn paint(code: &str, text: &str) -> String {
    if colours() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// `▕█████     ▏ 206/412`.
pub fn bar(done: usize, total: usize) -> String {
    let filled = (done.saturating_mul(BAR)).checked_div(total).unwrap_or(0).min(BAR);
    format!("▕{}{}▏ {done}/{total}", "█".repeat(filled), " ".repeat(BAR - filled))
}

/// `240 ms`, `4.2s`, `32s`, `8m10s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..=9 => format!("{:.1}s", time.as_secs_f64()),
        10..=59 => format!("{seconds}s"),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// `94 KB`, `1.9 MB`: decimal, as download sizes are.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..=999 => format!("{bytes} B"),
        1_000..=999_999 => format!("{} KB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

fn put(text: &str) {
    // A closed pipe (`make test | head`) is no reason to stop the work.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_units() {
        for (millis, text) in
            [(0, "0 ms"), (240, "240 ms"), (4_240, "4.2s"), (32_900, "32s"), (490_000, "8m10s")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn sizes_are_written_with_units() {
        for (bytes, text) in [(12, "12 B"), (94_200, "94 KB"), (1_950_000, "1.9 MB")] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_bar_is_always_ten_cells_wide() {
        assert_eq!(bar(0, 0), "▕          ▏ 0/0");
        assert_eq!(bar(206, 412), "▕█████     ▏ 206/412");
        assert_eq!(bar(500, 412), "▕██████████▏ 500/412");
    }
}
