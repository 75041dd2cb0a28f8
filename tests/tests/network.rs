//! Programs that talk to the host, and the host to them, over the loopback of the host only.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use birgus_tests::birgus::{birgus, path};
use birgus_tests::run::{Given, Status};
use birgus_tests::scratch::Scratch;

/// The host, as the guest sees it.
const HOST: &str = "10.0.2.2";

const LIMIT: Duration = Duration::from_secs(120);

/// A body that is longer than every buffer on its way.
fn body() -> Vec<u8> {
    (0..1_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Answers one request for each connection that comes; the port.
fn serve(body: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it has an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &body);
        }
    });
    port
}

fn answer(mut stream: TcpStream, body: &[u8]) {
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(len @ 1..) => request.extend_from_slice(&buffer[..len]),
            _ => return,
        }
    }
    let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    // Whoever asked may not want the rest.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").port()
}

/// What a server at a port of this host answers, tried until it is there.
fn get(port: u16, file: &str) -> Vec<u8> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = try_get(port, file).unwrap_or_default();
        if let Some(at) = answer.windows(4).position(|end| end == b"\r\n\r\n") {
            return answer[at + 4..].to_vec();
        }
        assert!(Instant::now() < deadline, "nobody answers at port {port}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn try_get(port: u16, file: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET /{file} HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map(|_| answer)
}

/// A machine that runs until this is dropped.
struct Machine(Child);

impl Machine {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(path());
        command.args(["run", "--timeout", "120"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().expect("birgus starts"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_program_fetches_a_file_from_the_host() {
    let port = serve(body());
    let url = format!("http://{HOST}:{port}/file");
    let arguments = ["run", "busybox", "wget", "-q", "-O", "-", &url];
    let outcome = birgus(arguments, Given::limit(LIMIT)).expect("birgus starts");
    assert_eq!(outcome.status, Status::Ended(0), "{}", outcome.errors());
    assert!(outcome.stdout == body(), "{} bytes came, not the same", outcome.stdout.len());
}

#[test]
fn the_host_fetches_a_file_from_a_program() {
    let files = Scratch::new().expect("a directory");
    std::fs::write(files.path().join("file"), body()).expect("a file");
    let port = free_port();
    let (publish, volume) = (format!("{port}:80"), format!("{}:/files:ro", files.path().display()));
    let server = ["-p", &publish, "-v", &volume, "busybox", "httpd", "-f", "-h", "/files"];
    let machine = Machine::start(&server);
    for _ in 0..3 {
        assert!(get(port, "file") == body());
    }
    drop(machine);
}

#[test]
fn a_port_that_is_taken_is_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it has an address").port();
    let arguments = ["run", "-p", &format!("{port}:80"), "busybox", "true"];
    let outcome = birgus(arguments, Given::limit(LIMIT)).expect("birgus starts");
    assert_eq!(outcome.status, Status::Ended(125));
    let errors = outcome.errors();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains(&format!("127.0.0.1:{port}")), "{errors}");
}

#[test]
fn without_a_network_there_is_the_loopback() {
    let run = |script: &str| {
        let arguments = ["run", "--net", "none", "busybox", "sh", "-c", script];
        birgus(arguments, Given::limit(LIMIT)).expect("birgus starts")
    };
    assert_eq!(run("busybox ping -c 1 127.0.0.1 >/dev/null").status, Status::Ended(0));
    let far = run(&format!("busybox ping -c 1 {HOST}"));
    assert_eq!(far.status, Status::Ended(1));
    assert!(far.errors().contains("Network is unreachable"), "{}", far.errors());
}

/// Gives a namespace of its own a TAP device, and a machine an address at it.
const TAP: &str = r#"
set -e
ip link set lo up
ip tuntap add dev tap0 mode tap
ip addr add 10.9.0.1/24 dev tap0
ip link set tap0 up
exec "$0" run --timeout 60 --net tap=tap0 --ip 10.9.0.2/24 --gateway 10.9.0.1 --dns 10.9.0.1 \
    busybox sh -c 'busybox ip -o -4 addr; busybox ip route; cat /etc/resolv.conf
        busybox ping -c 2 10.9.0.1 >/dev/null && echo answered'
"#;

#[test]
fn a_tap_device_and_a_fixed_address_are_a_network() {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", TAP]).arg(path()).stdin(Stdio::null());
    let outcome = command.output().expect("unshare starts");
    let (told, errors) =
        (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    assert!(outcome.status.success(), "{errors}");
    for wanted in [
        "lo    inet 127.0.0.1/8 scope host lo",
        "eth0    inet 10.9.0.2/24 brd 10.9.0.255 scope global eth0",
        "default via 10.9.0.1 dev eth0",
        "nameserver 10.9.0.1",
        "answered",
    ] {
        assert!(told.contains(wanted), "{wanted} is not in:\n{told}{errors}");
    }
}
