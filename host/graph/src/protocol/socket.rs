//! `graphql-transport-ws` over one WebSocket: one task that reads, runs the operations and
//! writes. Everything it runs ends with it, so a closed socket leaves nothing behind.

use std::collections::HashMap;
use std::sync::Arc;

use apollo_compiler::ast::OperationType;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::{AbortHandle, Aborted, abortable};
use futures_util::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use monopod_core::BoxFuture;
use monopod_core::context::{Context, CorrelationId, TraceId};
use monopod_core::identity::{Principal, Refused};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::message::{self, Close, Incoming, SUBPROTOCOL, Token};
use super::operation::Params;
use super::queue::{Full, Queue, Waiting, queue};
use super::sse::expiry;
use crate::error::Failure;
use crate::execute::Run;
use crate::graph::Inner;
use crate::plan::scan::exceeded;
use crate::settings::Settings;
use crate::subscribe::{self, Next};

/// How long the closing handshake may take. A client that does not read never sees it.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Answers an upgrade request.
pub fn accept(upgrade: WebSocketUpgrade, inner: Arc<Inner>, context: Context) -> Response {
    let max = inner.schema.load().settings.max_message;
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(max)
        .max_frame_size(max)
        .on_upgrade(move |socket| serve(socket, inner, context))
}

async fn serve(socket: WebSocket, inner: Arc<Inner>, context: Context) {
    let spoken = socket.protocol().is_some_and(|protocol| protocol.as_bytes() == SUBPROTOCOL.as_bytes());
    let (sink, mut stream) = socket.split();
    let settings = inner.schema.load().settings.clone();
    let (queue, waiting) = queue(settings.max_queue, settings.patience);
    let (close, closing) = oneshot::channel();
    let writer = write(sink, waiting, closing);
    tokio::pin!(writer);
    let why = if spoken {
        let driver = Driver::new(inner, context, settings, queue.clone());
        tokio::select! {
            why = driver.run(&mut stream) => why,
            // The connection broke.
            () = &mut writer => return,
        }
    } else {
        Close::Subprotocol
    };
    // The client's half is read to its end: that answers its own close frame, and bytes
    // left unread would turn ours into a reset that the client may see first.
    let farewell = async {
        if why != Close::Gone && close.send(why).is_ok() {
            writer.await;
        }
        while let Some(Ok(_)) = stream.next().await {}
    };
    let _elapsed = timeout(CLOSE_GRACE, farewell).await;
    drop(queue);
}

/// Sends what waits, until told to close or until the connection breaks.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut waiting: Waiting,
    closing: oneshot::Receiver<Close>,
) {
    let sending = async {
        while let Some(message) = waiting.next().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
    };
    let why = tokio::select! {
        biased;
        why = closing => why,
        () = sending => return,
    };
    let Ok(why) = why else { return };
    if why != Close::TooSlow {
        while let Ok(Some(message)) = timeout(Duration::ZERO, waiting.next()).await {
            if sink.feed(message).await.is_err() {
                return;
            }
        }
    }
    let _broken = sink.send(Message::Close(Some(why.frame()))).await;
}

/// How an operation's future ended.
struct Ended {
    id: String,
    serial: u64,
    close: Option<Close>,
}

struct Driver {
    inner: Arc<Inner>,
    settings: Settings,
    queue: Queue,
    principal: Principal,
    trace: TraceId,
    ready: bool,
    expires: Option<Instant>,
    /// Operations under way by id. The serial tells a new one from an old one of the same id.
    open: HashMap<String, (u64, AbortHandle)>,
    running: FuturesUnordered<BoxFuture<'static, Result<Ended, Aborted>>>,
    serial: u64,
}

impl Driver {
    fn new(inner: Arc<Inner>, context: Context, settings: Settings, queue: Queue) -> Self {
        Self {
            inner,
            settings,
            queue,
            expires: expiry(&context.principal),
            principal: context.principal,
            trace: context.trace,
            ready: false,
            open: HashMap::new(),
            running: FuturesUnordered::new(),
            serial: 0,
        }
    }

    /// Runs until there is a reason to close.
    async fn run(mut self, stream: &mut SplitStream<WebSocket>) -> Close {
        let stop = self.inner.stop.clone();
        let init_by = Instant::now() + self.settings.init_timeout;
        let beat = self.settings.keep_alive;
        let mut keep_alive = interval_at(Instant::now() + beat, beat);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let expires = self.expires;
            let expired = async {
                match expires {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Close::GoingAway,
                () = expired => return Close::Expired,
                () = sleep_until(init_by), if !self.ready => return Close::InitTimeout,
                Some(ended) = self.running.next() => {
                    if let Ok(ended) = ended && let Some(close) = self.ended(ended) {
                        return close;
                    }
                }
                _ = keep_alive.tick() => {
                    if heard.elapsed() >= 2 * beat {
                        return Close::Silent;
                    }
                    if self.queue.put(Message::Ping(Bytes::new())).await.is_err() {
                        return Close::TooSlow;
                    }
                }
                message = stream.next() => {
                    heard = Instant::now();
                    if let Err(close) = self.frame(message).await {
                        return close;
                    }
                }
            }
        }
    }

    async fn frame(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), Close> {
        match frame {
            Some(Ok(Message::Text(text))) => match Incoming::read(&text) {
                Some(message) => self.message(message).await,
                None => Err(Close::Invalid),
            },
            Some(Ok(Message::Binary(_))) => Err(Close::Invalid),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_))) | None => Err(Close::Gone),
            Some(Err(error)) if too_large(&error) => Err(Close::TooLarge),
            Some(Err(_)) => Err(Close::Gone),
        }
    }

    async fn message(&mut self, message: Incoming) -> Result<(), Close> {
        match message {
            Incoming::Init(_) if self.ready => Err(Close::SecondInit),
            Incoming::Init(token) => self.init(token).await,
            Incoming::Ping(payload) => self.send(message::pong(payload.as_ref())).await,
            Incoming::Pong => Ok(()),
            Incoming::Subscribe(..) if !self.ready => Err(Close::Unauthorized),
            Incoming::Subscribe(id, params) => self.subscribe(id, params).await,
            Incoming::Complete(id) => {
                // An unknown id is one that has just ended by itself.
                if let Some((_, abort)) = self.open.remove(&id) {
                    abort.abort();
                }
                Ok(())
            }
        }
    }

    // By a mutable reference, since the operations under way cannot be shared.
    async fn send(&mut self, text: Vec<u8>) -> Result<(), Close> {
        self.queue.text(text).await.map_err(|Full| Close::TooSlow)
    }

    async fn init(&mut self, token: Token) -> Result<(), Close> {
        match token {
            // Who the upgrade request proved to be, or nobody.
            Token::Absent => {}
            Token::Unusable => return Err(Close::Forbidden),
            Token::Bearer(token) => {
                let verified =
                    timeout(self.settings.init_timeout, self.inner.authenticator.bearer(&token)).await;
                match verified {
                    Ok(Ok(user)) => {
                        self.principal = Principal::User(user);
                        self.expires = expiry(&self.principal);
                    }
                    Ok(Err(Refused::Expired)) => return Err(Close::Expired),
                    Ok(Err(Refused::Invalid(_))) => return Err(Close::Forbidden),
                    Ok(Err(Refused::Unavailable(_))) | Err(_) => return Err(Close::TryAgain),
                }
            }
        }
        self.ready = true;
        self.send(message::ACK.as_bytes().to_vec()).await
    }

    async fn subscribe(&mut self, id: String, params: Result<Params<'static>, Failure>) -> Result<(), Close> {
        if self.open.contains_key(&id) {
            return Err(Close::Duplicate);
        }
        let max = self.settings.max_operations;
        if self.open.len() >= max {
            return self
                .send(message::error(&id, &[exceeded("operations", max, "operations at once")]))
                .await;
        }
        let params = match params {
            Ok(params) => params,
            Err(failure) => return self.send(message::error(&id, &[failure])).await,
        };
        let context = Context {
            principal: self.principal.clone(),
            correlation: CorrelationId::new(),
            trace: self.trace,
            deadline: (Instant::now() + self.settings.timeout).into_std(),
            callers: Default::default(),
        };
        self.serial += 1;
        let serial = self.serial;
        let (inner, queue, name) = (Arc::clone(&self.inner), self.queue.clone(), id.clone());
        let (operation, abort) = abortable(async move {
            let close = operate(&inner, &queue, &name, params, &context).await.err();
            Ended { id: name, serial, close }
        });
        self.open.insert(id, (serial, abort));
        self.running.push(Box::pin(operation));
        Ok(())
    }

    /// Forgets an operation that ended; a reason to close if it had one.
    fn ended(&mut self, ended: Ended) -> Option<Close> {
        if self.open.get(&ended.id).is_some_and(|(serial, _)| *serial == ended.serial) {
            self.open.remove(&ended.id);
        }
        ended.close
    }
}

/// Runs one operation to its end. An error is a reason to close the socket.
async fn operate(
    inner: &Inner,
    queue: &Queue,
    id: &str,
    params: Params<'static>,
    context: &Context,
) -> Result<(), Close> {
    let send = async |text| queue.text(text).await.map_err(|Full| Close::TooSlow);
    let schema = inner.schema.load_full();
    let prepared = match params.prepare(&schema, context, &schema.ports) {
        Ok(prepared) => prepared,
        Err(failures) => return send(message::error(id, &failures)).await,
    };
    if prepared.plan.kind == OperationType::Subscription {
        let opened = subscribe::open(Arc::clone(&schema.schema), prepared.own(), context, inner, None).await;
        let mut feed = match opened {
            Ok(feed) => feed,
            Err(failure) => return send(message::error(id, &[failure])).await,
        };
        while let Some(next) = feed.next().await {
            match next {
                Next::Response(response, _) => send(message::next(id, &response)).await?,
                Next::Failed(failure) => return send(message::error(id, &[failure])).await,
                Next::Lagged => return Err(Close::TooSlow),
                Next::Changed => return send(message::error(id, &[subscribe::schema_changed()])).await,
            }
        }
    } else {
        let run = Run::new(&schema.ports, &schema, &prepared, context);
        send(message::next(id, &run.execute().await)).await?;
    }
    send(message::complete(id)).await
}

/// Whether a message was refused for its size.
fn too_large(error: &axum::Error) -> bool {
    use tokio_tungstenite::tungstenite;
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if matches!(inner.downcast_ref(), Some(tungstenite::Error::Capacity(_))) {
            return true;
        }
        source = inner.source();
    }
    false
}
