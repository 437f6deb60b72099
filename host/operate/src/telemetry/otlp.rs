//! The figures as an OTLP message: what `metrics` collects, in OpenTelemetry's terms. Called by
//! the pusher for each snapshot.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::metrics::{BOUNDS, Family, Point, Sort, Value};

/// Counted since the start, and not since the last push: one that is lost costs its moment only.
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// Who pushes.
pub(super) fn resource(service: &str, version: &str, instance: &str) -> Resource {
    let attributes = vec![
        attribute("service.name", service),
        attribute("service.version", version),
        attribute("service.instance.id", instance),
    ];
    Resource { attributes, ..Resource::default() }
}

/// One snapshot: of `families`, counted since `start`, taken at `now` (nanoseconds since 1970).
pub(super) fn request(
    families: Vec<Family>,
    resource: Resource,
    start: u64,
    now: u64,
) -> ExportMetricsServiceRequest {
    let scope = InstrumentationScope { name: env!("CARGO_PKG_NAME").to_owned(), ..Default::default() };
    let filled = families.into_iter().filter(|family| !family.points.is_empty());
    let metrics = filled.map(|family| self::metric(family, start, now)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    let resource = ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }
}

fn metric(family: Family, start: u64, now: u64) -> Metric {
    let Family { metric, points } = family;
    let numbers = |points: Vec<Point>, start: u64| -> Vec<NumberDataPoint> {
        points.into_iter().filter_map(|point| number(metric.labels, point, start, now)).collect()
    };
    let data = match metric.sort {
        Sort::Counter => metric::Data::Sum(Sum {
            data_points: numbers(points, start),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        // A value of this moment has no start.
        Sort::Gauge => metric::Data::Gauge(Gauge { data_points: numbers(points, 0) }),
        Sort::Histogram => metric::Data::Histogram(Histogram {
            data_points: points
                .into_iter()
                .filter_map(|point| histogram(metric.labels, point, start, now))
                .collect(),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    Metric {
        name: metric.name.to_owned(),
        description: metric.help.to_owned(),
        unit: metric.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(labels: &[&str], point: Point, start: u64, now: u64) -> Option<NumberDataPoint> {
    let Value::Number(value) = point.value else { return None };
    Some(NumberDataPoint {
        attributes: attributes(labels, &point.labels),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

fn histogram(labels: &[&str], point: Point, start: u64, now: u64) -> Option<HistogramDataPoint> {
    let Value::Times(bucket_counts, sum) = point.value else { return None };
    Some(HistogramDataPoint {
        attributes: attributes(labels, &point.labels),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: bucket_counts.iter().sum(),
        sum: Some(sum),
        bucket_counts,
        explicit_bounds: BOUNDS.to_vec(),
        ..HistogramDataPoint::default()
    })
}

fn attributes(labels: &[&str], values: &[String]) -> Vec<KeyValue> {
    labels.iter().zip(values).map(|(label, value)| attribute(label, value)).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Any::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
