//! From a command to its answer: reads the photo, looks at it, publishes what it saw.
//!
//! Exactly one answer is published for each command that can be read, whatever the photo holds:
//! a completed recognition, or a failed one with the reason. Only a store that cannot answer
//! now leaves the command to be tried again.

use monopod_sdk::ports::{Blobs, Error, Publisher};
use monopod_sdk::{Failure, Message, Outgoing};
use serde::Serialize;
use sha2::{Digest, Sha256};
use trackunit_contracts::{
    Evidence, IMAGES, MachineAggregate, Provider, RecognitionCompleted, RecognitionFailed,
    RecognitionRequest, headers, schema, topics,
};

use crate::{MAX_BYTES, Refusal, Verdict};

/// How the adapter calls itself in messages.
const PRODUCER: &str = "vision-adapter";

/// Handles one `analysis.recognition.request`.
pub fn handle(ports: &(impl Blobs + Publisher), message: &Message) -> Result<(), Failure> {
    let RecognitionRequest { object_key, correlation_id, upload_id, checksum } = message.json()?;
    match look(ports, &object_key, checksum.as_deref())? {
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

/// Looks at a photo in the store, if it is still the one of this checksum. The outer error means:
/// not now; the inner one: never, and why.
fn look(ports: &impl Blobs, key: &str, checksum: Option<&str>) -> Result<Result<Verdict, String>, Failure> {
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
        Ok(Ok(photo)) => Ok(confirmed(&photo, checksum)
            .and_then(|()| crate::recognise(&photo).map_err(|refusal| refusal.to_string()))),
        Ok(Err(refusal)) => Ok(Err(refusal.to_string())),
        Err(Error::NotFound) => Ok(Err("the photo is not in the store".into())),
        Err(Error::Invalid(why)) => Ok(Err(format!("the photo cannot be read: {why}"))),
        Err(error) => Err(error.into()),
    }
}

/// Whether these bytes are the photo that was confirmed. The bytes themselves are hashed, not
/// what the store says of them: the photo can be written anew between two questions to it.
fn confirmed(photo: &[u8], checksum: Option<&str>) -> Result<(), String> {
    let Some(wanted) = checksum else { return Ok(()) };
    let digest: String = Sha256::digest(photo).iter().map(|byte| format!("{byte:02x}")).collect();
    let found = format!("sha256:{digest}");
    if found.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(format!("the photo was replaced after it was confirmed: it was {wanted} and is now {found}"))
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
    fn a_photo_that_is_no_longer_the_confirmed_one_is_not_looked_at() {
        // https://www.di-mgt.com.au/sha_testvectors.html, "abc".
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let asked = |checksum: &str| {
            let payload = serde_json::json!({
                "objectKey": KEY, "correlationId": "c-1", "uploadId": "u-1", "checksum": checksum,
            });
            let fake = fake(3, b"abc".to_vec());
            handle(&fake, &command(payload.to_string().as_bytes())).unwrap();
            let (topic, answer) = answer(&fake);
            assert_eq!(topic, "recognition.failed");
            answer["reason"].as_str().unwrap().to_owned()
        };
        let other = abc.replace("ba7816bf", "00000000");
        let reason = asked(&other);
        assert!(reason.contains("replaced") && reason.contains(&other) && reason.contains(abc), "{reason}");
        for same in [abc.to_owned(), abc.to_uppercase().replace("SHA", "sha")] {
            assert_eq!(asked(&same), "the file is neither JPEG nor PNG nor WebP", "it was looked at");
        }
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
