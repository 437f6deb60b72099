//! PostgreSQL as Debian has it, with `fsync` on.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;

use monopod_state::Server;
use tempfile::TempDir;

use super::free;

/// It starts in less than a second on a quiet machine.
const START: Duration = Duration::from_secs(60);

/// A running server. It ends with this value; its folder, too.
pub struct Postgres {
    folder: TempDir,
    bin: PathBuf,
    port: u16,
    process: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = newest();
        // It refuses to run as root; its package has a user for it.
        if is_root() {
            let path = folder.path().to_str().unwrap();
            assert!(Command::new("chown").args(["postgres:", path]).status().unwrap().success());
        }
        let mut this = Self { folder, bin, port: free(), process: None, databases: AtomicU32::new(0) };
        let data = this.data();
        let made = this
            .command("initdb")
            .args(["--auth=trust", "--username=monopod", "--no-sync", "--encoding=UTF8", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "initdb failed");
        this.again();
        this
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Starts it again after [`Self::kill`], on the same port and with what it has on disk.
    pub fn again(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let data = self.data();
        let mut process = self
            .command("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "max_connections=400", "-k"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stderr.take().unwrap());
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
        while !log.contains("ready to accept connections") {
            match said.recv_timeout(START) {
                Ok(line) => log = log + &line + "\n",
                Err(error) => panic!("PostgreSQL did not start: {error}\n{log}"),
            }
        }
    }

    /// Runs a statement; whether it went well.
    pub fn sql(&self, database: &str, sql: &str) -> bool {
        self.psql(database, sql).is_some()
    }

    /// What a statement answers, as text.
    pub fn psql(&self, database: &str, sql: &str) -> Option<String> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        let port = self.port.to_string();
        let output = Command::new(self.bin.join("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "monopod",
                "-d",
                database,
                "-v",
                "ON_ERROR_STOP=1",
                "-qAtc",
                sql,
            ])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    /// An empty database of its own.
    pub fn database(&self) -> Server {
        let name = format!("d{}", self.databases.fetch_add(1, Relaxed));
        assert!(self.sql("postgres", &format!("CREATE DATABASE {name}")), "no database {name}");
        self.server(&name)
    }

    /// Where a database is.
    pub fn server(&self, database: &str) -> Server {
        Server {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            database: database.to_owned(),
            user: "monopod".to_owned(),
            password: None,
            secure: None,
        }
    }

    /// Ends it and every connection at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Each backend is a process of its own: it would end when it misses the first, but
            // not at once, and until then nothing may be started on the same files.
            let id = process.id();
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            let children: Vec<&str> = children.split_whitespace().collect();
            let _gone = process.kill();
            let _sent = Command::new("kill").arg("-9").args(&children).stderr(Stdio::null()).status();
            let _ended = process.wait();
            for child in children {
                // No child of this process: so it cannot be waited for in another way.
                let _ended =
                    Command::new("tail").args(["-s", "0.01", "-f", "/dev/null", "--pid", child]).status();
            }
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Debian keeps each version in a folder of its own.
fn newest() -> PathBuf {
    let versions =
        fs::read_dir(Path::new("/usr/lib/postgresql")).expect("PostgreSQL: apt-get install postgresql");
    let mut versions: Vec<u32> =
        versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable();
    let version = versions.last().expect("PostgreSQL: apt-get install postgresql");
    Path::new("/usr/lib/postgresql").join(version.to_string()).join("bin")
}
