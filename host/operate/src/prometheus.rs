//! Metrics as Prometheus reads them: the text exposition format, version 0.0.4.

use std::fmt::Write;

use crate::metrics::{BOUNDS, Family, Point, Sort, Value};

/// The `content-type` of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The whole answer.
pub fn text(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families.iter().filter(|family| !family.points.is_empty()) {
        let metric = family.metric;
        let sort = match metric.sort {
            Sort::Counter => "counter",
            Sort::Gauge => "gauge",
            Sort::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# HELP {} {}\n# TYPE {} {sort}", metric.name, metric.help, metric.name);
        for point in &family.points {
            write_point(&mut out, metric.name, metric.labels, point);
        }
    }
    out
}

fn write_point(out: &mut String, name: &str, labels: &[&str], point: &Point) {
    let labels: Vec<String> = labels
        .iter()
        .zip(&point.labels)
        .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
        .collect();
    let braced = |more: Option<String>| {
        let all: Vec<&str> = labels.iter().map(String::as_str).chain(more.as_deref()).collect();
        if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
    };
    let _ = match &point.value {
        Value::Number(value) => writeln!(out, "{name}{} {value}", braced(None)),
        Value::Times(buckets, sum) => {
            let mut below = 0;
            let bounds = BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
            for (bound, count) in bounds.zip(buckets) {
                below += count;
                let _ = writeln!(out, "{name}_bucket{} {below}", braced(Some(format!("le=\"{bound}\""))));
            }
            writeln!(out, "{name}_sum{} {sum}\n{name}_count{} {below}", braced(None), braced(None))
        }
    };
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use monopod_core::seen::{Component, Histogram, Platform};

    use super::*;
    use crate::metrics::{Process, collect};

    #[test]
    fn it_is_the_format_with_cumulative_buckets() {
        let mut component = Component::new("photos".parse().unwrap(), "1.0.0".into());
        component.calls[0] = 3;
        component.limits[0] = 2;
        for millis in [1, 1, 300] {
            component.latency.counts[Histogram::bucket(Duration::from_millis(millis))] += 1;
        }
        component.latency.sum = Duration::from_millis(302);
        let platform = Platform { components: vec![component], ..Platform::default() };
        let text = text(&collect(&platform, Process::default()));
        for line in [
            "# TYPE monopod_calls_total counter",
            "monopod_calls_total{component=\"photos\",kind=\"request\"} 3",
            "monopod_call_seconds_bucket{component=\"photos\",le=\"0.0005\"} 0",
            "monopod_call_seconds_bucket{component=\"photos\",le=\"0.0025\"} 2",
            "monopod_call_seconds_bucket{component=\"photos\",le=\"+Inf\"} 3",
            "monopod_call_seconds_sum{component=\"photos\"} 0.302",
            "monopod_call_seconds_count{component=\"photos\"} 3",
            "monopod_limit_reached_total{component=\"photos\",limit=\"memory\"} 2",
            "monopod_circuit{component=\"photos\",state=\"closed\"} 1",
            "monopod_watchers 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert_eq!(text.matches("monopod_limit_reached_total{").count(), 1);
    }
}
