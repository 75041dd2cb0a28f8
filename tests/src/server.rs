//! A server in a machine, with ports of this host.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::birgus::path;

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(60);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// A machine that runs until this is dropped.
pub struct Server {
    child: Child,
    ports: Vec<u16>,
}

impl Server {
    /// Starts `command` with these options of `birgus run`, and passes on a free port of this
    /// host to each of `guest_ports`, which may end in `/udp`.
    ///
    /// # Panics
    /// When there is no free port, or `birgus` does not start.
    #[must_use]
    pub fn start(guest_ports: &[&str], options: &[&str], command: &[&str]) -> Self {
        let ports: Vec<u16> = guest_ports.iter().map(|_| free_port()).collect();
        let mut run = Command::new(path());
        run.args(["run", "--timeout", "300"]).args(options);
        for (port, guest) in ports.iter().zip(guest_ports) {
            run.args(["-p", &format!("{port}:{guest}")]);
        }
        run.args(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        Self { child: run.spawn().expect("birgus starts"), ports }
    }

    /// The port of this host for the first of the guest's ports.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// The ports of this host for all of the guest's ports, in their order.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// What the server answers to `request` until `end` is in it, or all of it if that is
    /// empty. Asks again until the server is there: before, connections are refused or reset.
    ///
    /// # Panics
    /// When it is never there.
    #[must_use]
    pub fn ask(&self, request: &[u8], end: &[u8]) -> Vec<u8> {
        let until = Instant::now() + START;
        loop {
            match ask(self.port(), request, end) {
                Ok(answer) if !answer.is_empty() => return answer,
                other => assert!(Instant::now() < until, "nobody answers: {other:?}"),
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The body of the answer to a request of HTTP/1.0 for `file`.
    ///
    /// # Panics
    /// As [`Server::ask`]; when it is none of HTTP.
    #[must_use]
    pub fn get(&self, file: &str) -> Vec<u8> {
        let answer = self.ask(format!("GET /{file} HTTP/1.0\r\n\r\n").as_bytes(), b"");
        let end = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a header");
        answer[end + 4..].to_vec()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection, one request, and the answer until `end` is in it.
///
/// # Errors
/// The connection fails, or nothing more comes for some time.
pub fn ask(port: u16, request: &[u8], end: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(request)?;
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    while end.is_empty() || !answer.windows(end.len()).any(|part| part == end) {
        match stream.read(&mut buffer)? {
            0 => break,
            len => answer.extend_from_slice(&buffer[..len]),
        }
    }
    Ok(answer)
}

/// A port of this host that nobody listens on.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").port()
}
