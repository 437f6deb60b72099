//! Upload sessions as they are kept.
//!
//! A session's key begins with its owner, so that looking one up finds the caller's own or
//! nothing, and a list is one scan. Ids of uploads grow with time, so the scan is in its order.

use monopod_sdk::http::Problem;
use monopod_sdk::id;
use monopod_sdk::ports::{Buckets, Range, User};
use serde::{Deserialize, Serialize};

/// The bucket.
const SESSIONS: &str = "sessions";
/// The longest owner's id, in bytes: with an upload's id and a slash it fits a key of 512.
const MAX_OWNER: usize = 450;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Names the upload.
    pub upload_id: String,
    /// Where the photo lies.
    pub object_key: String,
    /// The action that began it; everything that follows belongs to it.
    pub correlation_id: String,
    /// As the client called it.
    pub filename: String,
    /// Its content type.
    pub content_type: String,
    /// RFC 3339.
    pub created_at: String,
    /// When the URL to write the photo ends, RFC 3339.
    pub expires_at: String,
    /// What was confirmed; none: still pending.
    pub confirmed: Option<Confirmed>,
}

/// A confirmed photo, as the object store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Confirmed {
    /// RFC 3339.
    pub at: String,
    /// Its size.
    pub bytes: u64,
    /// `sha256:<64 hex>`.
    pub checksum: String,
    /// What the client said instead, where that was accepted all the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub difference: Option<Difference>,
}

/// What a client said of a photo that is otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The size it gave.
    pub bytes: i64,
    /// The checksum it gave.
    pub checksum: String,
}

impl Session {
    /// The caller's session of this id. Another's is not found, just as one that never was.
    pub fn find(ports: &impl Buckets, caller: &User, upload_id: &str) -> Result<Self, Problem> {
        let none = || Problem::not_found("There is no such upload.");
        if !id::is_id(upload_id) {
            return Err(none());
        }
        ports.get_json(SESSIONS, &key(caller, upload_id)?)?.ok_or_else(none)
    }

    /// Keeps it as the caller's.
    pub fn keep(&self, ports: &impl Buckets, caller: &User) -> Result<(), Problem> {
        Ok(ports.set_json(SESSIONS, &key(caller, &self.upload_id)?, self)?)
    }

    /// The caller's sessions, newest first, older than the upload `after`.
    pub fn list(
        ports: &impl Buckets,
        caller: &User,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Self>, Problem> {
        let prefix = key(caller, "")?;
        let after = after.map(|after| format!("{prefix}{after}"));
        let range = Range { prefix: &prefix, after: after.as_deref(), descending: true, limit };
        let found = ports.scan_json(SESSIONS, range)?;
        Ok(found.into_iter().map(|(_, session)| session).collect())
    }
}

fn key(owner: &User, upload_id: &str) -> Result<String, Problem> {
    let owner = owner.id();
    if owner.len() > MAX_OWNER {
        return Err(Problem::bad_request("The token's issuer and subject are too long."));
    }
    Ok(format!("{owner}/{upload_id}"))
}
