//! What the system says of this machine and of single processes. Linux only, like the figures.

use std::process::Command;

use serde_json::Value;

/// Ticks in a second in what `/proc` counts: fixed for user space since Linux 2.6.
const TICKS: f64 = 100.0;

/// Where a figure comes from, as fields of its line.
pub fn origin() -> Vec<(&'static str, Value)> {
    let now = time::OffsetDateTime::now_utc();
    vec![
        ("date", now.date().to_string().into()),
        ("cores", std::thread::available_parallelism().map_or(0, usize::from).into()),
        ("cpu", cpu().into()),
        ("commit", commit().into()),
    ]
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").current_dir(monopod_tests::checkout()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    match git(&["status", "--porcelain"]).as_deref() {
        Some("") => commit,
        _ => format!("{commit} with changes"),
    }
}

/// The load average over the last minute: what else goes on.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

/// A process's memory in MB: resident, and its proportional share of what is shared.
pub fn memory(pid: u32) -> (f64, f64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let kilobytes = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    };
    // MB of a million bytes, as people and `ls` have them.
    (kilobytes("Rss:") * 1.024 / 1_000.0, kilobytes("Pss:") * 1.024 / 1_000.0)
}

/// The processor time that a process has used, in seconds.
pub fn processor(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    ticks(&text, 14) + ticks(&text, 15)
}

/// The processor time that this thread has used, in seconds; exact to the nanosecond.
pub fn thread() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// The processor time that everything on this machine has used, interrupts left out, and what the
/// machine's own host has kept from it; in seconds.
pub fn busy() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    let fields: Vec<f64> =
        text.lines().next().unwrap().split_whitespace().filter_map(|f| f.parse().ok()).collect();
    // proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
    [0, 1, 2, 7].iter().filter_map(|&at| fields.get(at)).sum::<f64>() / TICKS
}

/// The processor time of this process's children that have ended, in seconds.
pub fn processor_of_children() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    ticks(&text, 16) + ticks(&text, 17)
}

/// A field of `/proc/…/stat`, counted from 1 as in its manual, in seconds.
fn ticks(stat: &str, field: usize) -> f64 {
    // The second field is a name in brackets and may hold anything.
    let rest = stat.rsplit_once(')').unwrap().1;
    rest.split_whitespace().nth(field - 3).unwrap().parse::<f64>().unwrap() / TICKS
}

/// The most memory that a process has had resident, for this one since [`forget_peak`], in MB.
pub fn peak(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() * 1.024 / 1_000.0
}

/// Begins to look for this process's peak anew: proc_pid_clear_refs(5).
pub fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}
