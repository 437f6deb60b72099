//! The shape of lines, word for word: scripts read them.

use std::io::{Error as IoError, ErrorKind, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;

fn clock() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_795_305_600_042)
}

struct Sink(Sender<u8>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        for byte in bytes {
            let _ = self.0.send(*byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn open(sink: impl Write + Send + 'static) -> (output::Output, Guard) {
    output::open(sink, |lines| lost(line::Form::Json, lines)).unwrap()
}

fn log(form: line::Form, filter: &str, say: impl FnOnce()) -> String {
    let (sink, bytes): (_, Receiver<u8>) = channel();
    let (output, guard) = open(Sink(sink));
    let layer = layer::Logs::new(form, parse(filter).unwrap(), clock, output);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
    drop(guard);
    String::from_utf8(bytes.try_iter().collect()).unwrap()
}

fn json(filter: &str, say: impl FnOnce()) -> String {
    log(line::Form::Json, filter, say)
}

fn text(say: impl FnOnce()) -> String {
    log(line::Form::Text { colour: false }, "info", say)
}

const FIX: &str = r#"[components.vision-adapter.grants] http = ["https://vision.example/v1/"]"#;

fn denial() {
    let span = tracing::info_span!(
        "deliver",
        component = "vision-adapter",
        correlation = "0198c1",
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    let _in = span.enter();
    let to = "https://vision.example/v1/images:annotate";
    tracing::warn!(to, why = "not granted", tries = 3, first = true, fix = FIX, "outgoing request refused");
}

#[test]
fn a_line_of_json_has_its_shape() {
    assert_eq!(
        json("info", denial),
        concat!(
            r#"{"ts":"2026-11-22T00:00:00.042Z","level":"warn","component":"vision-adapter","#,
            r#""correlation":"0198c1","trace":"4bf92f3577b34da6a3ce929d0e0e4736","#,
            r#""msg":"outgoing request refused","to":"https://vision.example/v1/images:annotate","#,
            r#""why":"not granted","tries":3,"first":true,"#,
            r#""fix":"[components.vision-adapter.grants] http = [\"https://vision.example/v1/\"]"}"#,
            "\n"
        )
    );
}

#[test]
fn a_line_of_text_has_its_shape() {
    assert_eq!(
        text(denial),
        concat!(
            "00:00:00.042 warn  vision-adapter outgoing request refused ",
            "to=https://vision.example/v1/images:annotate why=\"not granted\" tries=3 first=true ",
            r#"fix="[components.vision-adapter.grants] http = [\"https://vision.example/v1/\"]" "#,
            "correlation=0198c1 trace=4bf92f3577b34da6a3ce929d0e0e4736\n"
        )
    );
    let host = text(|| tracing::info!(target: "monopod_engine::cache", compiled = 7, "ready"));
    assert_eq!(host, "00:00:00.042 info  engine ready compiled=7\n");
}

#[test]
fn colours_stand_only_where_they_are_wanted() {
    let say = || tracing::error!("no");
    let coloured = log(line::Form::Text { colour: true }, "info", say);
    assert!(coloured.contains("\u{1b}[31m") && !text(say).contains('\u{1b}'), "{coloured}");
}

#[test]
fn the_event_and_then_the_innermost_span_say_whom_it_is_about() {
    let line = json("info", || {
        let outer = tracing::info_span!("call", component = "outer", correlation = "c", trace = "t");
        let _outer = outer.enter();
        let inner = tracing::info_span!("call", component = "inner", correlation = tracing::field::Empty);
        let _inner = inner.enter();
        inner.record("correlation", "later");
        tracing::info!(trace = %"own", "here");
    });
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["component"], &line["correlation"]), (&"inner".into(), &"later".into()));
    assert_eq!(line["trace"], "own");
}

#[test]
fn a_warning_says_whom_it_is_about_even_when_only_warnings_are_logged() {
    let lines = json("warn", || {
        denial();
        tracing::info!("not wanted");
    });
    assert!(lines.contains(r#""component":"vision-adapter""#) && !lines.contains("not wanted"), "{lines}");
}

#[test]
fn single_rooms_may_be_logged_in_more_detail() {
    let lines = json("warn, monopod_engine=debug", || {
        tracing::debug!(target: "monopod_engine::cache", "one");
        tracing::debug!(target: "monopod_state", "two");
        tracing::info!(target: "other", "three");
    });
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains(r#""target":"monopod_engine::cache","msg":"one""#), "{lines}");
}

#[test]
fn an_event_cannot_forge_a_line_or_a_field() {
    let hostile = "a\n{\"level\":\"error\"}\u{1b}[2J\u{9b}31m\"";
    let say = || tracing::info!(component = hostile, level = "error", msg = 1, bad = hostile, "{hostile}");
    for line in [json("info", say), text(say)] {
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(!line.trim_end().chars().any(char::is_control), "{line}");
    }
    let line: serde_json::Value = serde_json::from_str(&json("info", say)).unwrap();
    assert_eq!((&line["level"], &line["field.level"]), (&"info".into(), &"error".into()));
    assert_eq!((&line["msg"], &line["bad"]), (&hostile.into(), &hostile.into()));
    assert_eq!(line["field.msg"], 1);
}

#[test]
fn an_error_is_logged_with_its_causes_and_a_long_value_is_cut() {
    let error = Error::Thread(IoError::new(ErrorKind::OutOfMemory, "no room"));
    let outer = IoError::other(Error::Thread(IoError::other("cause")));
    let line = json("info", || {
        tracing::info!(error = &error as &dyn std::error::Error, "a");
        tracing::info!(error = &outer as &dyn std::error::Error, long = "ä".repeat(5_000), "b");
    });
    assert!(line.contains("could not be started: no room"), "{line}");
    assert!(line.lines().all(|line| line.len() < 5_000) && line.contains("ä…"), "{line}");
}

#[test]
fn a_closed_output_is_no_error() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(ErrorKind::BrokenPipe.into())
        }
    }
    let (output, guard) = open(Closed);
    for _ in 0..100 {
        output.line("line\n".into());
    }
    drop(guard);
}

#[test]
fn a_reader_that_stalls_stops_nobody_and_is_told_how_much_it_missed() {
    struct Stalled(Receiver<()>, Sink);
    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (go, stalled) = channel();
    let (sink, bytes) = channel();
    let (output, guard) = open(Stalled(stalled, Sink(sink)));
    for _ in 0..20_000 {
        output.line("line\n".into());
    }
    drop(go);
    drop((output, guard));
    let all = String::from_utf8(bytes.iter().collect()).unwrap();
    let written = all.lines().filter(|line| *line == "line").count();
    let missed: usize = all
        .lines()
        .filter_map(|line| line.rsplit_once("\"lines\":")?.1.strip_suffix('}')?.parse::<usize>().ok())
        .sum();
    assert!(missed > 10_000, "{missed}");
    assert_eq!(written + missed, 20_000);
}

#[test]
fn a_filter_that_is_none_is_refused_with_the_fix() {
    for good in ["info", "OFF", "warn,monopod_engine=trace", "monopod_state=debug"] {
        assert!(parse(good).is_ok(), "{good}");
    }
    for bad in ["", "loud", "info,", "monopod_engine", "monopod_engine=loud", "a=b=info"] {
        let error = parse(bad).unwrap_err().to_string();
        assert!(error.contains("as in `info`"), "{error}");
    }
}
