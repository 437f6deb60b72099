//! Sockets in the state folder that only its owner can open: who can write there has the state
//! anyhow, so there is no other login. Opened by the door and by `monopod`'s commands.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Who wait to be accepted on a socket.
const BACKLOG: u32 = 16;

/// Listens on the socket `name`. The caller has the state folder locked, so one that is there is
/// of a process that was killed. Must be called on a runtime.
pub fn open(state: &Path, name: &str) -> io::Result<UnixListener> {
    let near = Near::open(state)?;
    let path = near.socket(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(&path)?;
    // Before anybody can connect: that needs `listen`.
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)
}

/// Connects to the socket `name` of the platform whose state is there.
pub async fn connect(state: &Path, name: &str) -> io::Result<UnixStream> {
    let near = Near::open(state)?;
    UnixStream::connect(near.socket(name)).await
}

/// The state folder by a short name. The path of a socket has at most 107 bytes; a folder
/// may have many more.
struct Near {
    folder: File,
    path: PathBuf,
}

impl Near {
    fn open(state: &Path) -> io::Result<Self> {
        Ok(Self { folder: File::open(state)?, path: state.to_owned() })
    }

    fn socket(&self, name: &str) -> PathBuf {
        let short = PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()));
        if short.is_dir() { short.join(name) } else { self.path.join(name) }
    }
}
