//! From a command to its answer: reads the photo, looks at it, publishes what it saw.
//!
//! Exactly one answer is published for each command that can be read, whatever the photo holds:
//! a completed recognition, or a failed one with the reason. Only a store that cannot answer
//! now leaves the command to be tried again.

use monopod_sdk::ports::{Blobs, Error, Publisher};
use monopod_sdk::{Failure, Message, Outgoing};
use serde::Serialize;
use trackunit_contracts::{
    Evidence, IMAGES, MachineAggregate, Provider, RecognitionCompleted, RecognitionFailed,
    RecognitionRequest, headers, schema, topics,
};

use crate::{MAX_BYTES, Refusal, Verdict};

/// How the adapter calls itself in messages.
const PRODUCER: &str = "vision-adapter";

/// Handles one `analysis.recognition.request`.
pub fn handle(ports: &(impl Blobs + Publisher), message: &Message) -> Result<(), Failure> {
    let RecognitionRequest { object_key, correlation_id, upload_id } = message.json()?;
    match look(ports, &object_key)? {
        Ok(verdict) => {
            let answer = RecognitionCompleted {
                provider: provider(),
                aggregate: aggregate(verdict),
                correlation_id,
                upload_id,
                object_key: object_key.clone(),
            };
            publish(ports, message, topics::RECOGNITION_COMPLETED, &object_key, &answer)
        }
        Err(reason) => {
            let answer =
                RecognitionFailed { reason, correlation_id, upload_id, object_key: object_key.clone() };
            publish(ports, message, topics::RECOGNITION_FAILED, &object_key, &answer)
        }
    }
}

/// Looks at a photo in the store. The outer error means: not now; the inner one: never, and why.
fn look(ports: &impl Blobs, key: &str) -> Result<Result<Verdict, String>, Failure> {
    let photo = ports.stat(IMAGES, key).and_then(|info| {
        if info.size > MAX_BYTES {
            return Ok(Err(Refusal::TooManyBytes { bytes: info.size }));
        }
        let photo = ports.read(IMAGES, key, 0, info.size)?;
        if photo.len() as u64 == info.size {
            Ok(Ok(photo))
        } else {
            Err(Error::Unavailable(format!("of the photo's {} bytes {} were read", info.size, photo.len())))
        }
    });
    match photo {
        Ok(photo) => {
            Ok(photo.and_then(|photo| crate::recognise(&photo)).map_err(|refusal| refusal.to_string()))
        }
        Err(Error::NotFound) => Ok(Err("the photo is not in the store".into())),
        Err(Error::Invalid(why)) => Ok(Err(format!("the photo cannot be read: {why}"))),
        Err(error) => Err(error.into()),
    }
}

fn publish(
    ports: &impl Publisher,
    request: &Message,
    topic: &str,
    key: &str,
    answer: &impl Serialize,
) -> Result<(), Failure> {
    let message = Outgoing::json(topic, key, answer)?
        .header(headers::CORRELATION_ID, &request.correlation_id)
        .header(headers::SCHEMA, &schema(topic))
        .header(headers::PRODUCER, PRODUCER);
    ports.publish(&message)?;
    Ok(())
}

fn provider() -> Provider {
    Provider {
        name: "monopod-vision".into(),
        api_version: Some("1".into()),
        featureset: ["fleet-tag", "metadata", "livery"].map(str::to_owned).into(),
        max_results: Some(1),
    }
}

fn aggregate(verdict: Verdict) -> MachineAggregate {
    MachineAggregate {
        is_confident: verdict.is_confident(),
        brand: verdict.brand,
        r#type: verdict.kind,
        model: verdict.model,
        name: verdict.name,
        confidence: verdict.confidence,
        type_confidence: verdict.kind_confidence,
        type_source: verdict.kind_source.map(str::to_owned),
        evidence: verdict
            .evidence
            .into_iter()
            .map(|evidence| Evidence { kind: evidence.kind.name().into(), text: evidence.text })
            .collect(),
        ..MachineAggregate::default()
    }
}

#[cfg(test)]
mod tests {
    use monopod_sdk::ports::{Info, Millis};
    use monopod_sdk::testing::Fake;

    use super::*;

    const KEY: &str = "images/2026/11/23/0f3a.jpg";

    fn sample(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../../tests/samples/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn fake(size: u64, photo: Vec<u8>) -> Fake {
        let fake = Fake::new();
        let info =
            Info { size, content_type: "image/jpeg".into(), sha256: String::new(), written_at: Millis(0) };
        fake.put_blob(IMAGES, KEY, info, photo);
        fake
    }

    fn command(payload: &[u8]) -> Message {
        Message {
            id: "1".into(),
            topic: topics::RECOGNITION_REQUEST.into(),
            key: Some(KEY.into()),
            headers: vec![],
            payload: payload.into(),
            correlation_id: "c-1".into(),
            published_at: Millis(0),
            attempt: 1,
        }
    }

    fn request() -> Message {
        command(format!(r#"{{"objectKey":"{KEY}","correlationId":"c-1","uploadId":"u-1"}}"#).as_bytes())
    }

    fn answer(fake: &Fake) -> (String, serde_json::Value) {
        let [message] = <[Outgoing; 1]>::try_from(fake.published()).unwrap();
        assert_eq!(message.key.as_deref(), Some(KEY));
        for (name, value) in [("x-correlation-id", "c-1"), ("x-producer", PRODUCER)] {
            assert!(message.headers.contains(&(name.into(), value.into())), "{name}");
        }
        (message.topic, serde_json::from_slice(&message.payload).unwrap())
    }

    #[test]
    fn a_photo_is_answered_with_machine_provider_and_evidence() {
        let photo = sample("excavator-tagged.jpg");
        let fake = fake(photo.len() as u64, photo);
        handle(&fake, &request()).unwrap();
        let (topic, answer) = answer(&fake);
        assert_eq!(topic, "tu.recognition.completed");
        assert_eq!(answer["provider"]["name"], "monopod-vision");
        assert_eq!(answer["aggregate"]["name"], "Volvo EC220E");
        assert_eq!(answer["aggregate"]["type"], "excavator");
        assert_eq!(answer["aggregate"]["typeSource"], "fleet-tag");
        assert_eq!(answer["aggregate"]["isConfident"], true);
        assert_eq!(answer["aggregate"]["evidence"][0]["kind"], "fleet-tag");
        assert_eq!((&answer["uploadId"], &answer["objectKey"]), (&"u-1".into(), &KEY.into()));
    }

    #[test]
    fn a_photo_that_cannot_be_decoded_is_answered_with_the_reason() {
        let photo = sample("damaged.jpg");
        let fake = fake(photo.len() as u64, photo);
        handle(&fake, &request()).unwrap();
        let (topic, answer) = answer(&fake);
        assert_eq!(topic, "recognition.failed");
        assert_eq!(
            answer["reason"],
            "the JPEG file is incomplete: it breaks off in the middle of the picture"
        );
        assert_eq!(answer["correlationId"], "c-1");
    }

    #[test]
    fn a_photo_that_is_missing_or_too_large_is_answered_without_reading_it() {
        let missing = Fake::new();
        handle(&missing, &request()).unwrap();
        assert_eq!(answer(&missing).1["reason"], "the photo is not in the store");
        let large = fake(MAX_BYTES + 1, vec![]);
        handle(&large, &request()).unwrap();
        assert!(answer(&large).1["reason"].as_str().unwrap().starts_with("the file has"));
    }

    #[test]
    fn a_store_that_cannot_answer_leaves_the_command_for_later() {
        let fake = fake(3, vec![1, 2, 3]);
        fake.set_unavailable(true);
        assert!(matches!(handle(&fake, &request()), Err(Failure::Retry { .. })));
        let short = self::fake(4, vec![1, 2, 3]);
        assert!(matches!(handle(&short, &request()), Err(Failure::Retry { .. })));
        assert!(short.published().is_empty());
    }

    #[test]
    fn a_command_that_cannot_be_read_is_rejected() {
        for payload in [&b"{"[..], b"{}", b"\xff"] {
            assert!(matches!(handle(&Fake::new(), &command(payload)), Err(Failure::Reject(_))));
        }
    }
}
