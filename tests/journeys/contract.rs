//! Clients of the system before: their documents, unchanged, answered in the shapes they know.

use std::collections::BTreeMap;

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{House, Phone, Platform, sample, small, trackunit};

const PING: &str = "query { ping }";
const START: &str = "mutation StartUpload($filename: String!, $contentType: String!) {
  startUpload(filename: $filename, contentType: $contentType) {
    correlationId
    imageUploadPayload { uploadId key putUrl expiresAt }
  }
}";
const CONFIRM: &str = "mutation ConfirmUpload($uploadId: String!, $bytes: Int!, $checksum: String!) {
  confirmUpload(uploadId: $uploadId, bytes: $bytes, checksum: $checksum) { status }
}";
const STARTED: &str = "subscription { onAnalysisStarted { objectKey } }";
const COMPLETED: &str = "subscription {
  onAnalysisCompleted {
    success
    recognitionPayload {
      provider { name apiVersion featureset maxResults }
      aggregate { brand type model name typeSource confidence isConfident typeConfidence }
    }
  }
}";
const REQUEST: &str = "mutation RequestAnalysis($input: AnalysisRequestInput!) {
  requestAnalysis(input: $input) { correlationId }
}";

/// The contract, as `Type.field(arguments): Type`. New fields and optional arguments may join.
const FIELDS: &str = "
    Query.ping: String!
    Mutation.startUpload(filename: String!, contentType: String!): StartUploadPayload!
    Mutation.confirmUpload(uploadId: String!, bytes: Int!, checksum: String!): ConfirmUploadPayload!
    Mutation.requestAnalysis(input: AnalysisRequestInput!): AnalysisRequestPayload!
    Subscription.onAnalysisStarted: AnalysisStarted!
    Subscription.onAnalysisCompleted: AnalysisCompleted!
    StartUploadPayload.correlationId: String!
    StartUploadPayload.imageUploadPayload: ImageUploadPayload!
    ImageUploadPayload.uploadId: String!
    ImageUploadPayload.key: String!
    ImageUploadPayload.putUrl: String!
    ImageUploadPayload.expiresAt: DateTime!
    ConfirmUploadPayload.status: String!
    AnalysisRequestPayload.correlationId: String!
    AnalysisRequestInput.objectKey: String!
    AnalysisStarted.objectKey: String!
    AnalysisCompleted.success: Boolean!
    AnalysisCompleted.recognitionPayload: RecognitionCompleted
    RecognitionCompleted.provider: AIProviderDto!
    RecognitionCompleted.aggregate: MachineAggregateDto!
    AIProviderDto.name: String!
    AIProviderDto.apiVersion: String
    AIProviderDto.featureset: [String!]!
    AIProviderDto.maxResults: Int
    MachineAggregateDto.brand: String
    MachineAggregateDto.type: String
    MachineAggregateDto.model: String
    MachineAggregateDto.name: String
    MachineAggregateDto.typeSource: String
    MachineAggregateDto.confidence: Float!
    MachineAggregateDto.isConfident: Boolean!
    MachineAggregateDto.typeConfidence: Float";

#[track_caller]
fn has_keys(value: &Value, keys: &[&str]) {
    let mut found: Vec<_> =
        value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().collect();
    found.sort();
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    assert_eq!(found, keys, "{value}");
}

#[tokio::test]
async fn ping_is_answered_to_anybody_by_post_and_get() {
    let house = trackunit().await;
    let client = house.anybody();
    let (status, answer) = client.graphql(PING, json!({})).await.unwrap();
    assert_eq!((status.as_u16(), answer), (200, json!({ "data": { "ping": "pong" } })));
    let request = Request::get(house.at("/graphql?query=%7Bping%7D")).body(Full::default()).unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.body(), r#"{"data":{"ping":"pong"}}"#);
}

#[tokio::test]
async fn the_documents_of_old_clients_run_unchanged_from_start_to_end() {
    let house = trackunit().await;
    let phone = house.phone("contract.old-client").await;
    let photo = sample("excavator-tagged.jpg");
    let mut socket = phone.socket().await;
    socket.subscribe("started", STARTED, json!({})).await;
    socket.subscribe("completed", COMPLETED, json!({})).await;

    let asked = OffsetDateTime::now_utc();
    let variables = json!({ "filename": "excavator.jpg", "contentType": "image/jpeg" });
    let data = phone.data(START, variables).await;
    has_keys(&data, &["startUpload"]);
    has_keys(&data["startUpload"], &["correlationId", "imageUploadPayload"]);
    let upload = &data["startUpload"]["imageUploadPayload"];
    has_keys(upload, &["uploadId", "key", "putUrl", "expiresAt"]);
    let text = |name: &str| upload[name].as_str().unwrap();
    assert!(!data["startUpload"]["correlationId"].as_str().unwrap().is_empty());

    // images/{yyyy}/{MM}/{dd}/{guid}.{ext}
    let key: Vec<&str> = text("key").split('/').collect();
    let [images, year, month, day, file] = key[..] else { panic!("{key:?}") };
    let (guid, extension) = file.split_once('.').unwrap();
    assert_eq!((images, year.len(), month.len(), day.len(), extension), ("images", 4, 2, 2, "jpg"));
    let days = [asked, OffsetDateTime::now_utc()].map(|at| (at.year(), u8::from(at.month()), at.day()));
    let found = (year.parse().unwrap(), month.parse().unwrap(), day.parse().unwrap());
    assert!(days.contains(&found), "{key:?}");
    assert_eq!(uuid::Uuid::parse_str(guid).unwrap().hyphenated().to_string(), guid);
    // The URL lives for 300 seconds and leads to this platform.
    let lives = OffsetDateTime::parse(text("expiresAt"), &Rfc3339).unwrap() - asked;
    assert!((299..=320).contains(&lives.whole_seconds()), "{lives}");
    assert!(text("putUrl").starts_with(&house.at("/blobs/")), "{}", text("putUrl"));

    let put = Request::put(text("putUrl")).header("content-type", "image/jpeg");
    let put = phone.client.another().send(put.body(Full::new(photo.bytes.clone())).unwrap()).await.unwrap();
    assert_eq!(put.status(), 200);

    let checksum = monopod_tests::digest(&photo.bytes);
    let variables = json!({ "uploadId": text("uploadId"), "bytes": photo.bytes.len(), "checksum": checksum });
    let data = phone.data(CONFIRM, variables).await;
    assert_eq!(data, json!({ "confirmUpload": { "status": "Accepted" } }));

    assert_eq!(socket.event("started").await, json!({ "objectKey": text("key") }));
    let completed = socket.event("completed").await;
    let provider = json!({ "name": "monopod-vision", "apiVersion": "1",
        "featureset": ["fleet-tag", "metadata", "livery"], "maxResults": 1 });
    let aggregate = &completed["recognitionPayload"]["aggregate"];
    has_keys(&completed, &["success", "recognitionPayload"]);
    has_keys(&completed["recognitionPayload"], &["provider", "aggregate"]);
    let fields =
        ["brand", "type", "model", "name", "typeSource", "confidence", "isConfident", "typeConfidence"];
    has_keys(aggregate, &fields);
    assert_eq!(
        (&completed["success"], &completed["recognitionPayload"]["provider"]),
        (&json!(true), &provider)
    );
    assert_eq!(aggregate["name"], "Volvo EC220E");
    assert!(aggregate["confidence"].is_f64() && aggregate["isConfident"].is_boolean(), "{aggregate}");
}

#[tokio::test]
async fn the_earlier_prototypes_request_analyses_a_photo_again() {
    let house = trackunit().await;
    let phone = house.phone("contract.again").await;
    let begun = phone.send(&small()).await;
    phone.ended(&begun.id).await;
    let mut socket = phone.socket().await;
    socket.subscribe("completed", COMPLETED, json!({})).await;
    let data = phone.data(REQUEST, json!({ "input": { "objectKey": begun.key } })).await;
    has_keys(&data["requestAnalysis"], &["correlationId"]);
    assert_eq!(socket.event("completed").await["success"], true);
    let document =
        "subscription ($id: String) { onAnalysisCompleted(correlationId: $id) { objectKey correlationId } }";
    let id = &data["requestAnalysis"]["correlationId"];
    socket.subscribe("by correlation", document, json!({ "id": id })).await;
    assert_eq!(socket.event("by correlation").await, json!({ "objectKey": begun.key, "correlationId": id }));
}

#[tokio::test]
async fn the_schema_has_every_field_of_the_contract_with_its_type() {
    const TYPES: &str = "{ __schema { types { name
        fields { name type { ...T } args { name type { ...T } } } inputFields { name type { ...T } } } } }
        fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";
    fn written(of: &Value) -> String {
        match of["kind"].as_str().unwrap() {
            "NON_NULL" => format!("{}!", written(&of["ofType"])),
            "LIST" => format!("[{}]", written(&of["ofType"])),
            _ => of["name"].as_str().unwrap().to_owned(),
        }
    }
    let house = trackunit().await;
    let (_, answer) = house.anybody().graphql(TYPES, json!({})).await.unwrap();
    let mut found = BTreeMap::new();
    for of in answer["data"]["__schema"]["types"].as_array().unwrap() {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for field in list(&of["fields"]).iter().chain(&list(&of["inputFields"])) {
            // Optional arguments are additions that no old document notices.
            let arguments: Vec<String> = list(&field["args"])
                .iter()
                .map(|argument| (argument["name"].as_str().unwrap(), written(&argument["type"])))
                .filter(|(_, of)| of.ends_with('!'))
                .map(|(name, of)| format!("{name}: {of}"))
                .collect();
            let arguments =
                if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
            let name = format!("{}.{}", of["name"].as_str().unwrap(), field["name"].as_str().unwrap());
            found.insert(name, format!("{arguments}: {}", written(&field["type"])));
        }
    }
    for line in FIELDS.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let name = &line[..line.find(['(', ':']).unwrap()];
        let found = found.get(name).unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(format!("{name}{found}"), line);
    }
}

#[tokio::test]
async fn each_mutation_costs_ten() {
    // The repository's file leaves the limits of GraphQL as they are by default.
    let platform = Platform::trackunit().with("[identity]\n", "[graphql]\nmax-cost = 29\n[identity]\n");
    let house = House::of(&platform).await;
    let phone: Phone = house.phone("contract.cost").await;
    let start = |name: &str| {
        format!("{name}: startUpload(filename: \"a.jpg\", contentType: \"image/jpeg\") {{ correlationId }}")
    };
    let of =
        |names: &[&str]| format!("mutation {{ {} }}", names.iter().copied().map(start).collect::<String>());
    phone.data(&of(&["a", "b"]), json!({})).await;
    let error = phone.refusal(&of(&["a", "b", "c"]), json!({})).await;
    assert_eq!(error["extensions"]["code"], "LIMIT_EXCEEDED", "{error}");
    assert_eq!(error["extensions"]["max"], 29, "{error}");
}

#[tokio::test]
async fn an_answer_names_the_action_it_belongs_to() {
    let house = trackunit().await;
    let phone = house.phone("contract.headers").await;
    let variables = json!({ "filename": "a.jpg", "contentType": "image/jpeg" });
    let answer = phone.client.send(phone.client.graphql_request(START, variables)).await.unwrap();
    let (head, body) = answer.into_parts();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("x-correlation-id"), body["data"]["startUpload"]["correlationId"].as_str());
    assert!(header("content-type").unwrap().starts_with("application/json"), "as old clients expect");
    assert_eq!(header("x-content-type-options"), Some("nosniff"));
}
