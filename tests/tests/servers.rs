//! Unmodified servers of Debian, driven from the host over its loopback, and clients that find
//! the host. All but one run only under `BIRGUS_TEST_FULL=1`.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use birgus_tests::birgus::birgus;
use birgus_tests::full;
use birgus_tests::run::{Given, Status, run};
use birgus_tests::scratch::Scratch;
use birgus_tests::server::{Server, ask, free_port};

/// The host, as the guest sees it.
const HOST: &str = "10.0.2.2";

const LIMIT: Duration = Duration::from_secs(240);

const PAGE: &str = "<h1>hello</h1>\n";

/// Bytes in which a lost or repeated part shows.
fn large(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()
    };
    (0..len / 8).flat_map(|_| next()).collect()
}

/// A directory with a page and a large file.
fn site(len: usize) -> Scratch {
    let files = Scratch::new().unwrap();
    files.file("index.html", PAGE).unwrap();
    files.file("large", large(len)).unwrap();
    files
}

/// What a program of the host prints; it has to succeed.
fn on_host(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments);
    let outcome = run(command, Given::limit(LIMIT)).unwrap();
    assert_eq!(outcome.status, Status::Ended(0), "{program}: {}", outcome.text());
    outcome.text()
}

/// Asks for a page again and again with `ab`; no request may fail.
fn many(server: &Server, count: u32, more: &[&str]) {
    let (count, url) =
        (count.to_string(), format!("http://127.0.0.1:{}/index.html", server.port()));
    let text = on_host("ab", &[more, &["-q", "-n", &count, &url]].concat());
    assert!(text.contains(&format!("Complete requests:      {count}\n")), "{text}");
    assert!(text.contains("Failed requests:        0\n"), "{text}");
    assert!(!text.contains("Non-2xx"), "{text}");
}

#[test]
fn redis_serves_a_burst_of_clients_and_saves_in_a_child() {
    let server = Server::start(&["6379"], &[], &["redis-server", "--protected-mode", "no"]);
    assert_eq!(server.ask(b"PING\r\n", b"\r\n"), b"+PONG\r\n");
    let port = server.port();
    let clients: Vec<_> =
        (0..32).map(|number| thread::spawn(move || client(port, number))).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(server.ask(b"DBSIZE\r\n", b"\r\n"), b":32\r\n");
    assert_eq!(server.ask(b"BGSAVE\r\n", b"\r\n"), b"+Background saving started\r\n");
    let saved = || {
        let answer = server.ask(b"INFO persistence\r\n", b"\r\n\r\n");
        let text = String::from_utf8_lossy(&answer).into_owned();
        let is_done = text.contains("rdb_bgsave_in_progress:0\r\n");
        is_done.then(|| assert!(text.contains("rdb_last_bgsave_status:ok\r\n"), "{text}"))
    };
    while saved().is_none() {
        thread::sleep(Duration::from_millis(100));
    }
}

/// A client of redis that sets a key and reads it again, all in one go.
fn client(port: u16, number: u32) {
    let value = format!("{number:03}").repeat(500);
    let request = format!("SET key{number} {value}\r\nGET key{number}\r\n");
    let answer = ask(port, request.as_bytes(), format!("{value}\r\n").as_bytes()).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), format!("+OK\r\n$1500\r\n{value}\r\n"));
}

#[test]
fn nginx_serves_from_its_workers() {
    if !full() {
        return;
    }
    let files = site(100 << 20);
    let volume = format!("{}:/var/www/html:ro", files.path().display());
    let server = Server::start(&["80"], &["-v", &volume], &["nginx", "-g", "daemon off;"]);
    assert_eq!(server.get("index.html"), PAGE.as_bytes());
    assert!(server.get("large") == large(100 << 20), "the large file is another");
    many(&server, 10_000, &["-k", "-c", "16"]);
    many(&server, 10_000, &["-c", "16"]);
}

#[test]
fn redis_benchmark_gets_all_its_answers() {
    if !full() {
        return;
    }
    let server = Server::start(&["6379"], &[], &["redis-server", "--protected-mode", "no"]);
    assert_eq!(server.ask(b"PING\r\n", b"\r\n"), b"+PONG\r\n");
    let port = server.port().to_string();
    for pipeline in ["1", "16"] {
        let words = ["-p", &port, "-t", "set,get", "-c", "50", "-n", "50000", "-P", pipeline, "-q"];
        let text = on_host("redis-benchmark", &words);
        assert_eq!(text.matches("requests per second").count(), 2, "{text}");
    }
}

#[test]
fn memcached_answers_from_its_threads() {
    if !full() {
        return;
    }
    let command = ["memcached", "-u", "memcache", "-t", "4", "-l", "0.0.0.0"];
    let server = Server::start(&["11211"], &[], &command);
    assert!(server.ask(b"version\r\n", b"\r\n").starts_with(b"VERSION "));
    let port = server.port();
    let client = move |number: u32| {
        for round in 0..20 {
            let value = format!("{number}-{round}").repeat(100);
            let (key, len) = (format!("key{number}-{round}"), value.len());
            let request = format!("set {key} 0 0 {len}\r\n{value}\r\nget {key}\r\n");
            let expected = format!("STORED\r\nVALUE {key} 0 {len}\r\n{value}\r\nEND\r\n");
            let answer = ask(port, request.as_bytes(), b"END\r\n").unwrap();
            assert_eq!(String::from_utf8_lossy(&answer), expected);
        }
    };
    let clients: Vec<_> = (0..16).map(|number| thread::spawn(move || client(number))).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn lighttpd_serves_files() {
    if !full() {
        return;
    }
    let files = site(8 << 20);
    let volume = format!("{}:/var/www/html:ro", files.path().display());
    let command = ["lighttpd", "-D", "-f", "/etc/lighttpd/lighttpd.conf"];
    let server = Server::start(&["80"], &["-v", &volume], &command);
    assert_eq!(server.get("index.html"), PAGE.as_bytes());
    assert!(server.get("large") == large(8 << 20), "the large file is another");
    many(&server, 2000, &["-c", "16"]);
}

#[test]
fn haproxy_stands_in_front_of_a_server_of_the_host() {
    if !full() {
        return;
    }
    let files = site(1 << 20);
    let behind = free_port();
    let mut host = Command::new("python3");
    host.args(["-m", "http.server", "--bind", "127.0.0.1", &behind.to_string()]);
    let mut host =
        host.current_dir(files.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let configuration = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
         frontend front\n bind :80\n default_backend back\n\
         backend back\n server one {HOST}:{behind}\n"
    );
    files.file("haproxy.cfg", configuration).unwrap();
    let volume = format!("{}/haproxy.cfg:/haproxy.cfg:ro", files.path().display());
    let server =
        Server::start(&["80"], &["-v", &volume], &["haproxy", "-db", "-f", "/haproxy.cfg"]);
    assert_eq!(server.get("index.html"), PAGE.as_bytes());
    assert!(server.get("large") == large(1 << 20), "the large file is another");
    many(&server, 500, &["-c", "8"]);
    host.kill().unwrap();
    host.wait().unwrap();
}

#[test]
fn interpreters_serve() {
    if !full() {
        return;
    }
    let files = site(8 << 20);
    let script = "require('http').createServer((_, to) => to.end('<h1>hello</h1>\\n')).listen(80)";
    files.file("serve.js", script).unwrap();
    let volume = format!("{}:/site:ro", files.path().display());
    let options = ["-v", &volume, "-w", "/site", "-m", "512M"];
    let server = Server::start(&["8000"], &options, &["/usr/bin/python3", "-m", "http.server"]);
    assert_eq!(server.get("index.html"), PAGE.as_bytes());
    assert!(server.get("large") == large(8 << 20), "the large file is another");
    drop(server);
    let server = Server::start(&["80"], &options, &["node", "serve.js"]);
    assert_eq!(server.get("index.html"), PAGE.as_bytes());
    many(&server, 500, &["-c", "8"]);
}

#[test]
fn asyncio_echoes_to_many_at_once() {
    if !full() {
        return;
    }
    let files = Scratch::new().unwrap();
    let script = "import asyncio\n\
                  async def echo(reader, writer):\n\
                  \x20   while data := await reader.read(65536):\n\
                  \x20       writer.write(data)\n\
                  \x20       await writer.drain()\n\
                  \x20   writer.close()\n\
                  async def main():\n\
                  \x20   server = await asyncio.start_server(echo, '0.0.0.0', 7)\n\
                  \x20   await server.serve_forever()\n\
                  asyncio.run(main())\n";
    files.file("echo.py", script).unwrap();
    let volume = format!("{}:/files:ro", files.path().display());
    let server = Server::start(&["7"], &["-v", &volume], &["/usr/bin/python3", "/files/echo.py"]);
    assert_eq!(server.ask(b"up\n", b"\n"), b"up\n");
    let port = server.port();
    let clients: Vec<_> = (0..32).map(|_| thread::spawn(move || echoes(port))).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

/// Sends bytes, ends that direction, and gets them back.
fn echoes(port: u16) {
    let sent = large(50_000);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let bytes = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent, "{} bytes came back, not the same", received.len());
}

#[test]
fn a_static_go_server_answers() {
    if !full() {
        return;
    }
    let files = Scratch::new().unwrap();
    let source = "package main\nimport (\"fmt\"; \"net/http\")\nfunc main() {\n\
                  http.HandleFunc(\"/\", func(to http.ResponseWriter, _ *http.Request) {\n\
                  fmt.Fprintln(to, \"<h1>hello</h1>\")\n})\n\
                  if err := http.ListenAndServe(\":80\", nil); err != nil { panic(err) }\n}\n";
    let (source, program) = (files.file("serve.go", source).unwrap(), files.path().join("serve"));
    let mut build = Command::new("go");
    build.args(["build", "-o"]).args([&program, &source]).env("CGO_ENABLED", "0");
    build.env("GOCACHE", files.path().join("cache")).env("GO111MODULE", "off");
    assert!(build.status().unwrap().success());
    let server = Server::start(&["80"], &[], &[&program.display().to_string()]);
    assert_eq!(server.get("index.html"), PAGE.as_bytes());
    many(&server, 2000, &["-c", "16"]);
    many(&server, 2000, &["-k", "-c", "16"]);
}

/// Answers each question for a name with the host's address, on the host's port for names.
fn serve_names() {
    let socket = UdpSocket::bind("127.0.0.1:53").expect("the port for names (needs root)");
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            // The name, and behind its end the kind: 1 for an address of IPv4.
            let name_len = buffer[12..len].iter().position(|&byte| byte == 0).unwrap();
            let end = 12 + name_len + 5;
            let is_v4 = buffer[end - 3] == 1;
            let mut answer =
                [&buffer[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0]].concat();
            answer.extend_from_slice(&buffer[12..end]);
            if is_v4 {
                answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 2, 2]);
            }
            socket.send_to(&answer, from).unwrap();
        }
    });
}

#[test]
fn clients_find_the_host_by_address_and_by_name() {
    if !full() {
        return;
    }
    let files = site(32 << 20);
    let port = free_port();
    let mut host = Command::new("python3");
    host.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
    let mut host =
        host.current_dir(files.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    serve_names();
    for server in [HOST, "host.test"] {
        let url = format!("http://{server}:{port}/large");
        for client in [&["curl", "-sS"][..], &["wget", "-q", "-O", "-"]] {
            let arguments = [&["run", "--dns", HOST], client, &[&url]].concat();
            let outcome = birgus(&arguments, Given::limit(LIMIT)).unwrap();
            assert_eq!(outcome.status, Status::Ended(0), "{}", outcome.errors());
            assert!(outcome.stdout == large(32 << 20), "{arguments:?}: another file");
        }
    }
    host.kill().unwrap();
    host.wait().unwrap();
}

#[test]
fn socat_forks_for_each_connection() {
    if !full() {
        return;
    }
    let command = ["socat", "TCP-LISTEN:80,fork,reuseaddr", "EXEC:cat"];
    let server = Server::start(&["80"], &[], &command);
    for number in 0..5 {
        let line = format!("line {number}\n");
        assert_eq!(server.ask(line.as_bytes(), b"\n"), line.as_bytes());
    }
}

#[test]
fn iperf3_measures_both_directions() {
    if !full() {
        return;
    }
    let server = Server::start(&["5201"], &[], &["iperf3", "-s"]);
    let port = server.port().to_string();
    // It answers nothing before it is asked in its own words.
    for direction in [&[][..], &["--reverse"]] {
        let words = [&["-c", "127.0.0.1", "-p", &port, "-t", "2"], direction].concat();
        let begun = (0..60).any(|_| {
            thread::sleep(Duration::from_secs(1));
            let status = Command::new("iperf3").args(&words).stdout(Stdio::null()).status();
            status.unwrap().success()
        });
        assert!(begun, "{words:?}");
    }
}

#[test]
fn sshd_and_dropbear_run_a_command_for_who_has_the_key() {
    if !full() {
        return;
    }
    let files = Scratch::new().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    for key in ["host", "mine"] {
        on_host("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
    }
    on_host("dropbearkey", &["-t", "ed25519", "-f", &path("dropbear")]);
    let configuration = "HostKey /keys/host\nAuthorizedKeysFile /keys/mine.pub\nStrictModes no\n\
                         UsePAM no\nPidFile none\n";
    files.file("sshd_config", configuration).unwrap();
    let volume = format!("{}:/keys:ro", files.path().display());
    let sshd = "mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e -f /keys/sshd_config";
    let dropbear = "mkdir -m 700 /root/.ssh; cp /keys/mine.pub /root/.ssh/authorized_keys
                    chmod 600 /root/.ssh/authorized_keys; exec dropbear -F -E -r /keys/dropbear";
    for script in [sshd, dropbear] {
        let server = Server::start(&["22"], &["-v", &volume], &["/bin/sh", "-c", script]);
        assert!(server.ask(b"SSH-2.0-test\r\n", b"\n").starts_with(b"SSH-2.0-"));
        let (port, key) = (server.port().to_string(), path("mine"));
        let options = "-oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oLogLevel=ERROR";
        let mut ssh = Command::new("ssh");
        ssh.args(options.split(' ')).args(["-i", &key, "-p", &port, "root@127.0.0.1"]);
        ssh.arg("id -un; exit 7").stdin(Stdio::null());
        let outcome = run(ssh, Given::limit(LIMIT)).unwrap();
        assert_eq!((outcome.status, outcome.text().trim()), (Status::Ended(7), "root"));
    }
}

#[test]
fn postgresql_keeps_the_books_of_pgbench() {
    if !full() {
        return;
    }
    // It refuses to run as root.
    let script = "mkdir /data && chown postgres:postgres /data && \
                  exec setpriv --reuid=postgres --regid=postgres --init-groups sh -c '
                      PATH=$PATH:/usr/lib/postgresql/15/bin
                      initdb -D /data -A trust -U postgres >/tmp/log 2>&1 || cat /tmp/log
                      echo host all all 10.0.2.2/32 trust >>/data/pg_hba.conf
                      exec postgres -D /data -h 0.0.0.0 -k /tmp'";
    let server = Server::start(&["5432"], &["-m", "768M"], &["/bin/sh", "-c", script]);
    // A request for TLS, which is answered by one byte.
    let answer = server.ask(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], b"N");
    assert_eq!(answer, b"N");
    let port = server.port().to_string();
    let who = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
    let bench = |words: &[&str]| on_host("pgbench", &[&who, words, &["postgres"]].concat());
    bench(&["-i", "-s", "1", "-q"]);
    let text = bench(&["-c", "4", "-t", "25"]);
    assert!(text.contains("actually processed: 100/100"), "{text}");
    let query = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = \
                 (SELECT sum(delta) FROM pgbench_history), count(*) FROM pgbench_history";
    let books = on_host("psql", &[&who, &["-At", "-c", query, "postgres"][..]].concat());
    assert_eq!(books.trim(), "t|100");
}

/// How long clients are busy while others idle.
const BUSY: Duration = Duration::from_secs(60);

#[test]
fn many_connections_are_kept_and_leave_nothing() {
    if !full() {
        return;
    }
    // Beside redis, what tells how much memory is free.
    let script = "socat TCP-LISTEN:7,fork,reuseaddr EXEC:'cat /proc/meminfo' &
                  exec redis-server --protected-mode no --save ''";
    let server = Server::start(&["6379", "7"], &["-m", "512M"], &["/bin/sh", "-c", script]);
    assert_eq!(server.ask(PING, b"\r\n"), PONG);
    let (port, told) = (server.ports()[0], server.ports()[1]);

    let mut idle: Vec<TcpStream> = (0..2000).map(|_| connect(port)).collect();
    idle.iter_mut().for_each(answers);
    let kept_kib = free_kib(told);
    let until = Instant::now() + BUSY;
    let busy: Vec<_> =
        (0..200).map(|number| thread::spawn(move || keeps_busy(port, number, until))).collect();
    let rounds: u64 = busy.into_iter().map(|client| client.join().unwrap()).sum();
    idle.iter_mut().for_each(answers);
    let clients = ask(port, b"INFO clients\r\n", b"\r\n\r\n").unwrap();
    assert!(String::from_utf8_lossy(&clients).contains("connected_clients:2001\r\n"));
    drop(idle);
    eprintln!("2000 idle and 200 busy connections: {rounds} rounds of SET and GET, all answered");

    // What programs and the kernel keep for the next ones is there from now on.
    short_connections(port, 2000);
    let before_kib = free_kib(told);
    short_connections(port, 20_000);
    let after_kib = free_kib(told);
    eprintln!(
        "free memory in KiB: {kept_kib} with 2000 connections, {before_kib} before 20000 short \
         ones, {after_kib} after"
    );
    assert!(after_kib + 1024 >= before_kib, "connections left something behind");
}

const PING: &[u8] = b"PING\r\n";
const PONG: &[u8] = b"+PONG\r\n";

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Sends a request of redis, which has to be answered like this.
fn answers_with(stream: &mut TcpStream, request: &[u8], expected: &[u8]) {
    let mut answer = vec![0; expected.len()];
    stream.write_all(request).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), String::from_utf8_lossy(expected));
}

fn answers(stream: &mut TcpStream) {
    answers_with(stream, PING, PONG);
}

/// Sets a key and reads it again, until the moment comes; how often.
fn keeps_busy(port: u16, number: u32, until: Instant) -> u64 {
    let (mut stream, mut round) = (connect(port), 0);
    while Instant::now() < until {
        round += 1;
        let value = format!("{number}-{round}");
        let set = format!("SET busy{number} {value}\r\n");
        answers_with(&mut stream, set.as_bytes(), b"+OK\r\n");
        let get = format!("GET busy{number}\r\n");
        let expected = format!("${}\r\n{value}\r\n", value.len());
        answers_with(&mut stream, get.as_bytes(), expected.as_bytes());
    }
    round
}

/// Connections with one request each, some at a time.
fn short_connections(port: u16, count: u32) {
    const AT_ONCE: u32 = 8;
    let some = move || (0..count / AT_ONCE).for_each(|_| answers(&mut connect(port)));
    let threads: Vec<_> = (0..AT_ONCE).map(|_| thread::spawn(some)).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// How much memory is free in the guest, as what listens on this port tells.
fn free_kib(port: u16) -> u64 {
    let text = String::from_utf8(ask(port, b"", b"").unwrap()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("MemFree:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
