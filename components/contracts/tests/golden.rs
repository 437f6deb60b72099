//! Every payload reads and writes exactly the JSON that the systems around it know.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use trackunit_contracts::{
    AnalysisCompleted, AnalysisFailed, AnalysisProgress, AnalysisRequest, AnalysisStarted, ImageUploaded,
    MachineAggregate, RecognitionCompleted, RecognitionFailed, RecognitionRequest, schema, topics,
};

#[track_caller]
fn check<T: Serialize + DeserializeOwned>(golden: Value) {
    let read: T = serde_json::from_value(golden.clone()).expect("reads the golden form");
    assert_eq!(serde_json::to_value(&read).expect("is written"), golden);
}

fn provider() -> Value {
    json!({"name": "offline", "apiVersion": "1", "featureset": ["fleet-tag", "exif"], "maxResults": 1})
}

fn aggregate() -> Value {
    json!({
        "brand": "Volvo", "type": "excavator", "model": "EC220E", "name": "Volvo EC220E",
        "confidence": 0.97, "isConfident": true, "typeConfidence": 0.97, "typeSource": "fleet-tag",
        "weight": "22 t", "year": 2021, "attachments": ["bucket"],
        "evidence": [{"kind": "fleet-tag", "text": "tu:v1:volvo/excavator/EC220E"}],
    })
}

#[test]
fn an_uploaded_image_is_told_as_kafka_has_it() {
    check::<ImageUploaded>(json!({
        "uploadId": "u", "objectKey": "images/2026/11/23/g.jpg", "contentType": "image/jpeg",
        "bytes": 212_000, "checksum": "sha256:ab", "occurredAt": "2026-11-23T05:12:00.000Z",
    }));
}

#[test]
fn recognition_is_asked_and_answered() {
    check::<RecognitionRequest>(json!({"objectKey": "k", "correlationId": "c", "uploadId": "u"}));
    check::<RecognitionRequest>(
        json!({"objectKey": "k", "correlationId": "c", "uploadId": "u", "checksum": "sha256:ab"}),
    );
    check::<RecognitionCompleted>(json!({
        "provider": provider(), "aggregate": aggregate(), "correlationId": "c", "uploadId": "u", "objectKey": "k",
    }));
    check::<RecognitionFailed>(json!({
        "reason": "not a photo", "correlationId": "c", "uploadId": "u", "objectKey": "k",
    }));
}

#[test]
fn an_analysis_is_told_from_start_to_end() {
    check::<AnalysisRequest>(json!({"objectKey": "k", "correlationId": "c", "uploadId": "u"}));
    check::<AnalysisRequest>(
        json!({"objectKey": "k", "correlationId": "c", "uploadId": "u", "checksum": "sha256:ab"}),
    );
    check::<AnalysisStarted>(json!({"objectKey": "k", "correlationId": "c", "uploadId": "u"}));
    for state in ["started", "completed", "failed"] {
        check::<AnalysisProgress>(json!({
            "step": "recognition", "state": state, "objectKey": "k", "correlationId": "c", "uploadId": "u",
        }));
    }
    check::<AnalysisCompleted>(json!({
        "success": true, "recognitionPayload": {"provider": provider(), "aggregate": aggregate()},
        "objectKey": "k", "correlationId": "c", "uploadId": "u",
    }));
    check::<AnalysisFailed>(json!({
        "success": false, "reason": "r", "step": "recognition",
        "objectKey": "k", "correlationId": "c", "uploadId": "u",
    }));
}

#[test]
fn the_adapters_old_name_for_the_type_and_missing_additions_are_read() {
    let old = json!({"brand": null, "machineType": "dozer", "model": null, "name": null,
        "confidence": 0.2, "isConfident": false, "typeConfidence": null, "typeSource": null});
    let read: MachineAggregate = serde_json::from_value(old).expect("reads what old adapters send");
    assert_eq!(read.r#type.as_deref(), Some("dozer"));
    assert!(read.attachments.is_empty() && read.evidence.is_empty() && read.year.is_none());
}

#[test]
fn a_schema_is_named_after_its_topic() {
    assert_eq!(schema(topics::IMAGES_UPLOADED), "tu.images.uploaded.v1");
}
