//! The messages of Trackunit: topics, headers, payloads, field for field as clients and the
//! systems around it know them.
//!
//! Producers and consumers both take them from here, so that a name exists once. Nothing but
//! data: no behaviour, no capability of the platform.

mod analysis;
mod image;
mod recognition;

pub use analysis::{
    AnalysisCompleted, AnalysisFailed, AnalysisProgress, AnalysisRequest, AnalysisStarted, StepState,
};
pub use image::{IMAGE_TYPES, ImageType, ImageUploaded, MAX_IMAGE_BYTES};
pub use recognition::{
    Evidence, MachineAggregate, Provider, RecognitionCompleted, RecognitionFailed, RecognitionPayload,
    RecognitionRequest,
};

/// The container that photos are kept in.
pub const IMAGES: &str = "trackunit-images";

/// Topics.
pub mod topics {
    /// A photo was uploaded and confirmed. Ingestion to orchestrator; key: objectKey.
    pub const IMAGES_UPLOADED: &str = "tu.images.uploaded";
    /// A command: analyse a photo that is there already. Ingestion to orchestrator; key: uploadId.
    pub const ANALYSIS_COMMANDS: &str = "analysis.commands";
    /// An analysis began. Orchestrator to subscribers; key: uploadId.
    pub const ANALYSIS_STARTED: &str = "analysis.started";
    /// A step began or ended. Orchestrator to subscribers; key: uploadId.
    pub const ANALYSIS_PROGRESS: &str = "analysis.progress";
    /// An analysis ended well. Orchestrator to subscribers; key: uploadId.
    pub const ANALYSIS_COMPLETED: &str = "analysis.completed";
    /// An analysis ended badly. Orchestrator to subscribers; key: uploadId.
    pub const ANALYSIS_FAILED: &str = "analysis.failed";
    /// A command: recognise the machine. Orchestrator to vision adapter; key: objectKey.
    pub const RECOGNITION_REQUEST: &str = "analysis.recognition.request";
    /// The answer to it. Vision adapter to orchestrator; key: objectKey.
    pub const RECOGNITION_COMPLETED: &str = "tu.recognition.completed";
    /// The other answer to it. Vision adapter to orchestrator; key: objectKey.
    pub const RECOGNITION_FAILED: &str = "recognition.failed";
}

/// Headers that every message has.
pub mod headers {
    /// The id of the client action it belongs to.
    pub const CORRELATION_ID: &str = "x-correlation-id";
    /// What its payload looks like: the value of [`schema`](super::schema).
    pub const SCHEMA: &str = "x-schema";
    /// Who made it: the component's name.
    pub const PRODUCER: &str = "x-producer";

    /// All of them, for a message of `producer` on `topic`.
    pub fn of(topic: &str, correlation_id: &str, producer: &str) -> Vec<(String, String)> {
        vec![
            (CORRELATION_ID.into(), correlation_id.into()),
            (SCHEMA.into(), super::schema(topic)),
            (PRODUCER.into(), producer.into()),
        ]
    }
}

/// The value of [`headers::SCHEMA`] for a topic: its name and the version of its payload.
/// There is one version of each so far.
pub fn schema(topic: &str) -> String {
    format!("{topic}.v1")
}
