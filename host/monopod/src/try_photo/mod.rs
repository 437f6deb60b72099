//! `monopod try PHOTO`: one photo through the front door, the way a phone sends it, and
//! everything that comes back as it comes. The command line calls [`run`]; `monopod up
//! --try` calls [`attempt`].
//!
//! Exit codes: 0 completed, 1 could not run, 3 the analysis failed, 130 interrupted.

mod client;
mod flow;
mod photo;
mod show;
#[cfg(test)]
mod tests;
mod trouble;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use monopod_core::context::CorrelationId;
use monopod_edge::client::Connector;

use self::client::Client;
use self::flow::Outcome;
use self::photo::Photo;
use self::show::Show;
use self::trouble::Trouble;

/// The analysis ended in failure.
const ANALYSIS_FAILED: u8 = 3;
/// Ended by Ctrl-C, as shells say it.
const INTERRUPTED: u8 = 130;

/// Where a platform with its files in the default folder keeps what clients trust.
const DEVELOPMENT_CA: &str = ".monopod/edge/ca.pem";

/// How long the whole of it may take if nothing else is said: far beyond the seconds of
/// an analysis, and still within the patience of a script.
const TIMEOUT: Duration = Duration::from_secs(60);

/// `monopod try`
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The photo: JPEG, PNG or WebP
    #[arg(value_name = "PHOTO")]
    pub photo: PathBuf,
    /// The platform
    #[arg(long, value_name = "URL", default_value = "https://localhost:8443", value_parser = address)]
    pub url: String,
    /// The bearer token; without one, the development issuer is asked for one
    #[arg(long, value_name = "TOKEN", env = "MONOPOD_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A file with the bearer token, such as one that Kubernetes keeps fresh in a pod
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub token_file: Option<PathBuf>,
    /// Connect to this address instead of the URL's host and port, which TLS still asks for:
    /// for a platform whose public name is not known here
    #[arg(long, value_name = "HOST:PORT", value_parser = place)]
    pub connect: Option<String>,
    /// Who to be, if the development issuer is asked
    #[arg(long, value_name = "NAME", default_value = "try")]
    pub user: String,
    /// A file of certificates (PEM) to trust besides the machine's own; by default
    /// .monopod/edge/ca.pem, if it is there
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// One JSON object for each event on standard output
    #[arg(long)]
    pub json: bool,
    /// How long all of it may take, for example 60s
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = patience)]
    pub timeout: Duration,
    /// An id for the whole action, found again in every event and log line
    #[arg(long, value_name = "ID", value_parser = correlation)]
    pub correlation_id: Option<String>,
}

/// A photo to try within `monopod up`.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The photo's file.
    pub photo: PathBuf,
    /// The platform, `https://host[:port]`.
    pub url: String,
    /// Certificates to trust besides the machine's own.
    pub ca: Option<PathBuf>,
}

impl From<Attempt> for Options {
    fn from(attempt: Attempt) -> Self {
        let Attempt { photo, url, ca } = attempt;
        let user = "try".to_owned();
        let (token, token_file, connect) = (None, None, None);
        Self {
            photo,
            url,
            token,
            token_file,
            connect,
            user,
            ca,
            json: false,
            timeout: TIMEOUT,
            correlation_id: None,
        }
    }
}

/// `monopod try`, from the command line to the exit code.
pub fn run(options: &Options) -> ExitCode {
    // One thread is plenty for one photo.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => {
            crate::screen::error(&format!("the runtime cannot start: {why}"));
            return ExitCode::from(crate::FAILED);
        }
    };
    let code = runtime.block_on(async {
        tokio::select! {
            code = tried(options) => code,
            _ = tokio::signal::ctrl_c() => INTERRUPTED,
        }
    });
    if code == INTERRUPTED && !options.json {
        crate::screen::print("interrupted; an upload that was confirmed is analysed all the same");
    }
    ExitCode::from(code)
}

/// The same within another program, which has its own runtime and its own Ctrl-C.
/// Returns the exit code.
pub async fn attempt(attempt: Attempt) -> u8 {
    tried(&attempt.into()).await
}

/// Tries, shows, and turns what came of it into an exit code. When it is dropped, the
/// screen is left tidy.
async fn tried(options: &Options) -> u8 {
    let mut show = if options.json { Show::json(std::io::stdout()) } else { Show::people() };
    let result = tokio::time::timeout(options.timeout, Box::pin(send(options, &mut show))).await;
    let result = result.unwrap_or_else(|_| Err(trouble::too_slow(options.timeout)));
    match result {
        Ok(Outcome::Completed) => 0,
        Ok(Outcome::Failed) => ANALYSIS_FAILED,
        Err(trouble) => {
            show.trouble(&trouble);
            crate::FAILED
        }
    }
}

async fn send(options: &Options, show: &mut Show) -> Result<Outcome, Trouble> {
    let photo = Photo::read(&options.photo)?;
    show.photo(&photo);
    let client = client(options).await.map_err(|error| trouble::of(&error, &options.url))?;
    flow::send(&client, &photo, show).await.map_err(|error| trouble::of(&error, &options.url))
}

/// A client that has a token.
async fn client(options: &Options) -> Result<Client, client::Error> {
    let ca = options.ca.clone().or_else(|| {
        let usual = Path::new(DEVELOPMENT_CA);
        usual.is_file().then(|| usual.to_owned())
    });
    let mut connector = Connector::new(ca)?;
    if let Some(address) = &options.connect {
        connector = connector.via(address);
    }
    let mut client = Client::new(&options.url, connector)?;
    if let Some(id) = options.correlation_id.as_deref().and_then(CorrelationId::parse) {
        client = client.with_correlation(&id);
    }
    let given = match &options.token_file {
        Some(file) => {
            Some(std::fs::read_to_string(file).map_err(|why| client::Error::TokenFile(file.clone(), why))?)
        }
        None => options.token.clone(),
    };
    let token = match given.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()) {
        Some(token) => token,
        None => client.development_token(&options.user).await?,
    };
    client.with_token(&token)
}

fn address(text: &str) -> Result<String, String> {
    let uri: http::Uri = text.parse().map_err(|_| "write https://host or https://host:port".to_owned())?;
    let good =
        matches!(uri.scheme_str(), Some("https" | "http")) && uri.path() == "/" && uri.query().is_none();
    if good {
        Ok(text.to_owned())
    } else {
        Err("write https://host or https://host:port, without a path".to_owned())
    }
}

fn place(text: &str) -> Result<String, String> {
    let good =
        text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    good.then(|| text.to_owned()).ok_or_else(|| "write host:port, for example 127.0.0.1:8443".to_owned())
}

fn patience(text: &str) -> Result<Duration, String> {
    let time = monopod_core::size::parse_duration(text)?;
    if time.is_zero() { Err("it needs some time: for example 60s".to_owned()) } else { Ok(time) }
}

fn correlation(text: &str) -> Result<String, String> {
    let good = CorrelationId::parse(text).is_some();
    good.then(|| text.to_owned()).ok_or_else(|| "use 1 to 64 of letters, digits, `.`, `_` and `-`".to_owned())
}
