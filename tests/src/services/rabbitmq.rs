//! RabbitMQ as Debian has it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// It starts in five seconds on a quiet machine.
const START: Duration = Duration::from_secs(90);

/// A running server. It ends with this value; its folder, too.
pub struct RabbitMq {
    folder: TempDir,
    port: u16,
    distribution: u16,
    names: u16,
    /// Erlang's port mapper: started by the server it would outlive it.
    mapper: Child,
    process: Option<Child>,
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl RabbitMq {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = free();
        let mut mapper = Command::new("epmd");
        mapper.args(["-port", &names.to_string(), "-address", "127.0.0.1"]).stdin(Stdio::null());
        let mapper = mapper.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut this = Self { folder, port: free(), distribution: free(), names, mapper, process: None };
        let config =
            format!("listeners.tcp.1 = 127.0.0.1:{}\nloopback_users = none\nlog.console = true\n", this.port);
        fs::write(this.folder.path().join("rabbitmq.conf"), config).unwrap();
        fs::write(this.folder.path().join("plugins"), "[].").unwrap();
        this.again();
        this
    }

    /// Starts it again after [`Self::kill`], on the same port and with what it has on disk.
    pub fn again(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let at = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(SERVER);
        command
            .env("RABBITMQ_NODENAME", format!("t{}@localhost", self.port))
            .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
            .env("RABBITMQ_LOG_BASE", at("logs"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"))
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            .env("ERL_EPMD_PORT", self.names.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A group of its own: the script starts Erlang, which starts others.
            .process_group(0);
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{SERVER}: {error}"));
        let output = BufReader::new(process.stdout.take().unwrap());
        self.process = Some(process);
        let (say, said) = mpsc::channel();
        // Read to its end: a server whose output nobody takes stands still.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // Nobody listens once it has started.
                let _heard = say.send(line);
            }
        });
        let mut log = String::new();
        while !log.contains("Server startup complete") {
            match said.recv_timeout(START) {
                Ok(line) => log = log + &line + "\n",
                Err(error) => panic!("RabbitMQ did not start: {error}\n{log}"),
            }
        }
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _sent = Command::new("kill").args(["-9", "--", &format!("-{}", process.id())]).status();
            let _ended = process.wait();
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("amqp://127.0.0.1:{}", self.port)
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.kill();
        let _gone = self.mapper.kill();
        let _ended = self.mapper.wait();
    }
}
