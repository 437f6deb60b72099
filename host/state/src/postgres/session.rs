//! Connections to the database: opened, counted as lost, opened again. Used by the store's
//! readers and its writer; knows no table.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use super::tls::{Secure, Wrap};
use crate::writer::lock;

/// How long opening a connection may take, and each step on one: many slow fsyncs. What
/// takes longer is given up with its connection.
pub(crate) const STEP: Duration = Duration::from_secs(10);
/// How long the server keeps a transaction whose process says nothing: it holds up the
/// others, and its own commit fails then.
const SILENCE: &str = "3s";
/// The first wait after a connection that could not be opened, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Where the database is, and who logs in.
#[derive(Clone)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database, which must be there.
    pub database: String,
    /// Who logs in: may make a schema in the database.
    pub user: String,
    /// The file with the password, read at each connection.
    pub password: Option<PathBuf>,
    /// How a connection is encrypted; none: not at all.
    pub secure: Option<Secure>,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "postgres://{}:{}/{}", self.host, self.port, self.database)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The connection is lost, or could not be made: nothing says what the server did last.
    #[error("the database is away: {0}")]
    Away(String),
    /// The server refused; the connection is as good as before, the transaction is not.
    #[error("the database refused: {0}")]
    Refused(String),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = match error.as_db_error() {
            Some(said) => said.message().to_owned(),
            None => chain(&error),
        };
        if is_away(&error) { Self::Away(text) } else { Self::Refused(text) }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

/// Whether trying on a new connection makes sense.
fn is_away(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        // Shutting down, starting up, silent too long, waited too long for a lock.
        Some(code) => {
            let again = [
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                SqlState::LOCK_NOT_AVAILABLE,
                SqlState::QUERY_CANCELED,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::TOO_MANY_CONNECTIONS,
            ];
            again.contains(code) || code.code().starts_with("08")
        }
        None => true,
    }
}

/// A connection with what was prepared on it.
pub(crate) struct Session {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
}

pub(crate) type Param<'a> = &'a (dyn ToSql + Sync);

impl Session {
    /// Opens one. `what` is how it appears in the server's list.
    pub async fn open(server: &Server, what: &str) -> Result<Self, Fault> {
        match timeout(STEP, Self::connect(server, what)).await {
            Ok(opened) => opened,
            Err(_) => Err(Fault::Away(format!("{server} did not answer within {STEP:?}"))),
        }
    }

    async fn connect(server: &Server, what: &str) -> Result<Self, Fault> {
        let away = |error: io::Error| Fault::Away(error.to_string());
        let mut config = Config::new();
        config.user(&server.user).dbname(&server.database).application_name(format!("monopod {what}"));
        // An answered commit survives a power cut, whatever the server's default is.
        config.options(format!(
            "-c search_path=monopod -c synchronous_commit=on -c lock_timeout={0} -c statement_timeout={0} -c idle_in_transaction_session_timeout={SILENCE} -c client_min_messages=warning -c tcp_user_timeout={0}",
            STEP.as_millis()
        ));
        if let Some(file) = &server.password {
            let read = tokio::fs::read_to_string(file).await;
            let password = read.map_err(|error| {
                Fault::Away(format!("the password file {} cannot be read: {error}", file.display()))
            })?;
            config.password(password.trim_end_matches(['\r', '\n']));
        }
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(away)?;
        stream.set_nodelay(true).map_err(away)?;
        let client = match &server.secure {
            Some(secure) => {
                config.ssl_mode(SslMode::Require);
                let wrap = Wrap { secure: Arc::clone(secure), host: server.host.clone() };
                let (client, connection) = config.connect_raw(stream, wrap).await?;
                tokio::spawn(connection);
                client
            }
            None => {
                config.ssl_mode(SslMode::Disable);
                let (client, connection) = config.connect_raw(stream, NoTls).await?;
                tokio::spawn(connection);
                client
            }
        };
        Ok(Self { client, statements: Mutex::default() })
    }

    /// Several statements without parameters.
    pub async fn run(&self, sql: &str) -> Result<(), Fault> {
        Ok(self.client.batch_execute(sql).await?)
    }

    pub async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.query(&statement, params).await?)
    }

    pub async fn first(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>, Fault> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// How many rows it touched.
    pub async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, Fault> {
        let statement = self.statement(sql).await?;
        Ok(self.client.execute(&statement, params).await?)
    }

    /// Makes sure that the first use of `sql` waits for nothing.
    pub async fn prepare(&self, sql: &str) -> Result<(), Fault> {
        self.statement(sql).await.map(drop)
    }

    /// Each is prepared once. Their number is that of the texts in this folder.
    async fn statement(&self, sql: &str) -> Result<Statement, Fault> {
        if let Some(known) = lock(&self.statements).get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql).await?;
        lock(&self.statements).insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// How long to wait after so many failures in a row: doubled each time, and by chance between
/// half and all of it, so that many processes do not come back at the same moment.
pub(crate) fn backoff(failures: u32) -> Duration {
    let (first, most) = BACKOFF;
    let whole = first.saturating_mul(1 << failures.min(10)).min(most);
    let mut byte = [0_u8];
    // Without chance the wait is the shortest, which is no harm.
    let _ = getrandom::fill(&mut byte);
    whole / 2 + whole.mul_f64(f64::from(byte[0]) / 512.0)
}

/// Connections for questions. Many questions may be on the way on each.
pub(crate) struct Pool {
    server: Server,
    what: &'static str,
    places: Vec<tokio::sync::Mutex<Place>>,
    next: AtomicUsize,
}

#[derive(Default)]
struct Place {
    session: Option<Arc<Session>>,
    failures: u32,
    not_before: Option<Instant>,
}

impl Pool {
    /// A pool in which nothing is open yet.
    pub fn new(server: Server, what: &'static str, size: usize) -> Self {
        let places = (0..size.max(1)).map(|_| tokio::sync::Mutex::default()).collect();
        Self { server, what, places, next: AtomicUsize::new(0) }
    }

    /// A connection that is open, as far as known.
    async fn session(&self) -> Result<Arc<Session>, Fault> {
        let turn = self.next.fetch_add(1, Relaxed) % self.places.len();
        let Some(place) = self.places.get(turn) else { return Err(Fault::Away("closed".into())) };
        let mut place = place.lock().await;
        if let Some(session) = place.session.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        // Those who come while the server is away are told so at once.
        if place.not_before.is_some_and(|until| until > Instant::now()) {
            return Err(Fault::Away(format!("{} cannot be reached", self.server)));
        }
        match Session::open(&self.server, self.what).await {
            Ok(session) => {
                let session = Arc::new(session);
                *place = Place { session: Some(Arc::clone(&session)), ..Place::default() };
                Ok(session)
            }
            Err(fault) => {
                place.failures += 1;
                place.not_before = Some(Instant::now() + backoff(place.failures));
                Err(fault)
            }
        }
    }

    /// Asks a question: once more on another connection if this one turns out to be lost.
    pub async fn ask<T, Answer: Future<Output = Result<T, Fault>>>(
        &self,
        question: impl Fn(Arc<Session>) -> Answer,
    ) -> Result<T, Fault> {
        let mut again = true;
        loop {
            let session = self.session().await?;
            let answer = match timeout(STEP, question(Arc::clone(&session))).await {
                Ok(answer) => answer,
                Err(_) => Err(Fault::Away(format!("no answer within {STEP:?}"))),
            };
            match answer {
                Err(Fault::Away(_)) if again => {
                    again = false;
                    self.give_up(&session).await;
                }
                answer => return answer,
            }
        }
    }

    async fn give_up(&self, lost: &Arc<Session>) {
        for place in &self.places {
            let mut place = place.lock().await;
            if place.session.as_ref().is_some_and(|session| Arc::ptr_eq(session, lost)) {
                place.session = None;
            }
        }
    }
}
