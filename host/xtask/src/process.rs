//! Other programs: started, watched while they run, and ended by their own handle.
//! Nothing here knows what they print.

use anyhow::{Context as _, Result};
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How often a watcher is called when nothing was printed: smooth for a clock with seconds.
const TICK: Duration = Duration::from_millis(250);
/// Lines that may wait for the watcher; a program that prints faster is held up by its pipe.
const QUEUE: usize = 1024;
/// How long output may still come after a program has ended. Longer means that a program of
/// its own, left behind, holds the pipe.
const TAIL: Duration = Duration::from_secs(2);

/// What a watcher sees.
pub enum Event<'a> {
    /// A line on standard output, without its end.
    Out(&'a str),
    /// A line on standard error; a line that was redrawn with `\r` counts for each drawing.
    Err(&'a str),
    /// Time went by.
    Tick,
}

/// How a program ended.
#[derive(Debug)]
pub enum Ending {
    /// By itself, or by a signal from elsewhere.
    Exited(ExitStatus),
    /// It was still running at the limit, and was killed.
    TimedOut,
}

impl Ending {
    /// Whether it ended by itself and said that all is well.
    pub fn ok(&self) -> bool {
        matches!(self, Self::Exited(status) if status.success())
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => status.fmt(f),
            Self::TimedOut => f.write_str("did not end in time and was killed"),
        }
    }
}

enum Piece {
    Out(String),
    Err(String),
    Closed,
}

/// Runs `command` to its end, without input, and hands each line to `see` as it comes.
/// `limit` is for the whole run.
pub fn watch(
    command: &mut Command,
    limit: Option<Duration>,
    see: &mut dyn FnMut(Event<'_>),
) -> Result<Ending> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{name}`"))?;
    let (sender, lines) = sync_channel(QUEUE);
    let mut open = 0;
    if let Some(out) = child.stdout.take() {
        open += 1;
        read(out, sender.clone(), Piece::Out);
    }
    if let Some(err) = child.stderr.take() {
        open += 1;
        read(err, sender.clone(), Piece::Err);
    }
    drop(sender);

    let started = Instant::now();
    let mut ended: Option<(ExitStatus, Instant)> = None;
    while open > 0 {
        match next(&lines) {
            Some(Piece::Out(line)) => see(Event::Out(&line)),
            Some(Piece::Err(line)) => see(Event::Err(&line)),
            Some(Piece::Closed) => open -= 1,
            None => see(Event::Tick),
        }
        if limit.is_some_and(|limit| started.elapsed() >= limit) {
            let left = descendants(child.id());
            child.kill().with_context(|| format!("cannot kill `{name}`"))?;
            end(&left);
            child.wait().with_context(|| format!("cannot wait for `{name}`"))?;
            return Ok(Ending::TimedOut);
        }
        match ended {
            Some((_, at)) if at.elapsed() >= TAIL => break,
            Some(_) => {}
            None => ended = child.try_wait().ok().flatten().map(|status| (status, Instant::now())),
        }
    }
    match ended {
        Some((status, _)) => Ok(Ending::Exited(status)),
        None => Ok(Ending::Exited(child.wait().with_context(|| format!("cannot wait for `{name}`"))?)),
    }
}

/// The processes that `root` started, and those that they started. Without /proc, none.
fn descendants(root: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((id, parent(&stat)?))
        })
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&above) = found.get(at) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(id, _)| *id));
        at += 1;
    }
    found.split_off(1)
}

/// The parent in a line of `/proc/<id>/stat`: `42 (a name) S 7 ...`. The name may hold anything.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Ends what a killed program could not end itself, such as the servers of a suite that hangs.
fn end(processes: &[u32]) {
    if !processes.is_empty() {
        let ids = processes.iter().map(u32::to_string);
        // One that has ended meanwhile is what is wanted.
        let _ = Command::new("kill").arg("-9").args(ids).stderr(Stdio::null()).status();
    }
}

fn next(lines: &Receiver<Piece>) -> Option<Piece> {
    match lines.recv_timeout(TICK) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Timeout) => None,
        // Both readers are gone without a word: as good as closed.
        Err(RecvTimeoutError::Disconnected) => Some(Piece::Closed),
    }
}

/// A thread for one pipe. It ends when the pipe is closed or nobody listens any more.
fn read(mut from: impl Read + Send + 'static, to: SyncSender<Piece>, wrap: fn(String) -> Piece) {
    std::thread::spawn(move || {
        let mut pending = Vec::new();
        let mut buffer = [0_u8; 8 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            for &byte in buffer.iter().take(count) {
                if byte != b'\n' && byte != b'\r' {
                    pending.push(byte);
                    continue;
                }
                // `\r\n` and redrawings leave empty lines that nobody wrote; real ones pass.
                if byte == b'\n' || !pending.is_empty() {
                    let line = String::from_utf8_lossy(&pending).into_owned();
                    pending.clear();
                    if to.send(wrap(line)).is_err() {
                        return;
                    }
                }
            }
        }
        if !pending.is_empty() {
            let _ = to.send(wrap(String::from_utf8_lossy(&pending).into_owned()));
        }
        let _ = to.send(Piece::Closed);
    });
}

/// What a program printed, and how it ended.
pub struct Answer {
    /// How it ended.
    pub ending: Ending,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs a program and collects what it prints; `wait` is called now and then meanwhile.
pub fn ask(command: &mut Command, limit: Option<Duration>, wait: &mut dyn FnMut()) -> Result<Answer> {
    let (mut out, mut err) = (String::new(), String::new());
    let ending = watch(command, limit, &mut |event| {
        match event {
            Event::Out(line) => push(&mut out, line),
            Event::Err(line) => push(&mut err, line),
            Event::Tick => {}
        }
        wait();
    })?;
    Ok(Answer { ending, out, err })
}

/// The first line that a short question to a program brings; `None` if it cannot be asked.
pub fn line(command: &mut Command) -> Option<String> {
    // Ample for `--version`; rustup may take a second on a cold disk.
    let answer = ask(command, Some(Duration::from_secs(30)), &mut || {}).ok()?;
    answer.ending.ok().then(|| answer.out.lines().next().unwrap_or_default().trim().to_owned())
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_arrive_line_by_line_with_redrawn_lines_split() {
        let answer =
            ask(&mut sh(r"printf 'a\n\nb'; printf 'x\ry\r\n' >&2; exit 3"), None, &mut || {}).unwrap();
        assert_eq!(answer.out, "a\n\nb\n");
        assert_eq!(answer.err.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(), ["x", "y"]);
        assert!(!answer.ending.ok());
    }

    #[test]
    fn a_program_that_hangs_is_ended_at_its_limit() {
        let started = Instant::now();
        let answer = ask(&mut sh("sleep 60"), Some(Duration::from_millis(300)), &mut || {}).unwrap();
        assert!(matches!(answer.ending, Ending::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn what_a_hanging_program_started_is_ended_with_it() {
        let mut id = None;
        let script = "sleep 60 & echo $!; wait";
        let ending = watch(&mut sh(script), Some(Duration::from_millis(500)), &mut |event| {
            if let Event::Out(line) = event {
                id = line.parse::<u32>().ok();
            }
        });
        assert!(matches!(ending.unwrap(), Ending::TimedOut));
        // Gone, or waiting for its new parent to notice; the signal needs a moment to get there.
        let stat = format!("/proc/{}/stat", id.unwrap());
        let ended = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
        let started = Instant::now();
        while !ended() {
            assert!(started.elapsed() < Duration::from_secs(20), "it lives on");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent("42 (a) name) 9) S 7 42 42 0"), Some(7));
        assert_eq!(parent(""), None);
    }

    #[test]
    fn a_program_left_behind_with_our_pipe_does_not_hold_us_up() {
        let started = Instant::now();
        let answer = ask(&mut sh("echo first; sleep 30 & exit 0"), None, &mut || {}).unwrap();
        assert!(answer.ending.ok());
        assert_eq!(answer.out, "first\n");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let error = ask(&mut Command::new("no-such-program"), None, &mut || {}).err().unwrap();
        assert!(format!("{error:#}").contains("no-such-program"));
    }
}
