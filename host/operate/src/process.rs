//! The process as the system measures it.

use std::time::Duration;

use crate::metrics::Process;

/// Clock ticks for each second in `/proc`: 100 on every Linux that there is.
const TICKS: u64 = 100;

/// Zeros where the system does not tell.
pub(crate) fn look() -> Process {
    Process { cpu: cpu().unwrap_or_default(), memory: memory().unwrap_or_default() }
}

fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

fn cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold anything; the fields behind it are plain (proc(5)): user
    // and system time are the 14th and 15th of all, the 12th and 13th of these.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1_000 / TICKS))
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_memory_and_processor_time() {
        let began = std::time::Instant::now();
        while super::look().cpu.is_zero() {
            assert!(began.elapsed().as_secs() < 60, "no processor time is counted");
        }
        assert!(super::look().memory > 1 << 20);
    }
}
