//! What must fit in `[state]`. Part of `check`, which calls it.

use std::path::Path;

use crate::plan::Database;
use crate::platform::State;
use crate::report::Report;

/// The port of PostgreSQL.
const PORT: u16 = 5432;

fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// Reports what does not fit.
pub(crate) fn check(raw: &State, report: &mut Report<'_>) {
    let Some(url) = &raw.url else {
        let keys = [
            ("user", raw.user.as_ref().map(|at| &at.key)),
            ("password-file", raw.password_file.as_ref().map(|at| &at.key)),
            ("ca", raw.ca.as_ref().map(|at| &at.key)),
        ];
        if let Some((key, span)) = keys.into_iter().find_map(|(key, span)| Some((key, span?))) {
            let message = format!("[state] has `{key}` but no `url`, so that the state is a file");
            report.at(span.clone(), message, Some("add:  url = \"postgres://<host>/<database>\"".into()));
        }
        return;
    };
    let host = url.value.0.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    if raw.password_file.is_none() && !host.as_deref().is_some_and(is_local) {
        let message = "the state's database is on another machine and has no password".to_owned();
        let help = "add:  user = \"<name>\" and password-file = \"<file>\"";
        report.at(url.span.clone(), message, Some(help.into()));
    }
}

/// Where the database is, if there is one.
pub(crate) fn database(raw: &State, folder: &Path) -> Option<Database> {
    let uri: http::Uri = raw.url.as_ref()?.value.0.parse().ok()?;
    let host = uri.host()?;
    Some(Database {
        encrypted: !is_local(host),
        host: host.trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(PORT),
        name: uri.path().trim_start_matches('/').to_owned(),
        user: raw.user.as_ref().map_or_else(|| "monopod".to_owned(), |at| at.value.0.clone()),
        password: raw.password_file.as_ref().map(|at| folder.join(&at.value)),
        ca: raw.ca.as_ref().map(|at| folder.join(&at.value)),
    })
}
