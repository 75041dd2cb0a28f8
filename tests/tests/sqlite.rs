//! Debian's sqlite3 with a database on a directory of the host and on the guest's own memory:
//! what it has confirmed is there, and the database is whole, after the machine or sqlite3 is
//! killed in the middle of transactions.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use birgus_tests::birgus::{path, take_own_lines};
use birgus_tests::full;
use birgus_tests::run::{Given, Status, run};
use birgus_tests::scratch::Scratch;

const SQLITE: &str = "/usr/bin/sqlite3";
const LIMIT: Duration = Duration::from_secs(120);

/// Rows that each transaction adds.
const ROWS: u64 = 5;

/// Transactions that a machine is given: more than it gets to.
const TRANSACTIONS: u64 = 4000;

fn rounds() -> u64 {
    if full() { 20 } else { 2 }
}

/// What sqlite3 is told: to open a database and to add transactions to it, from number
/// `first` on. It prints `ready`, and the number of each transaction that it has committed.
fn script(journal: &str, first: u64) -> String {
    let mut script = format!(
        "pragma journal_mode={journal};\npragma synchronous=full;\n\
         create table if not exists t(number integer, part integer, bytes blob);\n\
         create index if not exists i on t(number);\n\
         pragma integrity_check;\nselect 'ready';\n"
    );
    for number in first..first + TRANSACTIONS {
        script.push_str("begin;\n");
        for part in 0..ROWS {
            script += &format!("insert into t values({number}, {part}, randomblob(700));\n");
        }
        script += &format!("commit;\nselect {number};\n");
    }
    script
}

/// A machine in which sqlite3 works on `database` of the host.
struct Machine {
    birgus: Child,
    lines: Receiver<String>,
}

impl Machine {
    fn start(directory: &Path, database: &str, script: String) -> Self {
        let mut birgus = Command::new(path())
            .args(["run", "-v", &format!("{}:/data", directory.display())])
            .args([SQLITE, &format!("/data/{database}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("birgus starts");
        let mut stdin = birgus.stdin.take().unwrap();
        // The machine is killed before it has read everything.
        thread::spawn(move || drop(stdin.write_all(script.as_bytes())));
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(birgus.stdout.take().unwrap());
        thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { birgus, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("sqlite3 goes on")
    }

    /// Kills the machine at once, and returns the lines that came last when it is gone.
    fn kill(mut self) -> Vec<String> {
        let children = format!("/proc/{0}/task/{0}/children", self.birgus.id());
        let children = fs::read_to_string(children).unwrap();
        let engine: u32 = children.split_whitespace().next().unwrap().parse().unwrap();
        self.birgus.kill().unwrap();
        self.birgus.wait().unwrap();
        let (engine, started) = (format!("/proc/{engine}/stat"), Instant::now());
        let lives = || fs::read_to_string(&engine).is_ok_and(|stat| !stat.contains(") Z "));
        while lives() {
            assert!(started.elapsed() < LIMIT, "the machine outlives birgus");
            thread::sleep(Duration::from_millis(1));
        }
        self.lines.iter().collect()
    }
}

/// What the host's own sqlite3 says of a database.
fn on_host(database: &Path, question: &str) -> String {
    let output = Command::new(SQLITE).arg(database).arg(question).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Kills machines in the middle of transactions, again and again on the same database.
fn survives_kills(journal: &str) {
    let scratch = Scratch::new().unwrap();
    let (name, mut next) = ("test.db", 0);
    let database = scratch.path().join(name);
    for round in 0..rounds() {
        let machine = Machine::start(scratch.path(), name, script(journal, next));
        assert_eq!(machine.line(), journal);
        assert_eq!(machine.line(), "ok", "what a killed machine has left, in round {round}");
        assert_eq!(machine.line(), "ready");
        for number in next..next + 3 + round {
            assert_eq!(machine.line(), number.to_string());
        }
        // Wherever in a transaction it is now.
        thread::sleep(Duration::from_millis(round * 7 % 40));
        let acknowledged = next + 3 + round + machine.kill().len() as u64;
        // Every other time the next machine is the first to look at what is left.
        if round % 2 == 0 {
            assert_eq!(on_host(&database, "pragma integrity_check"), "ok");
            let whole = format!("select count(*) from t where number < {acknowledged}");
            assert_eq!(on_host(&database, &whole), (acknowledged * ROWS).to_string());
            let split = "select count(*) from (select 1 from t group by number having count(*)";
            assert_eq!(on_host(&database, &format!("{split} != {ROWS})")), "0");
        }
        // More may have been committed than was said: the last words die with the machine.
        next = acknowledged + 1;
        on_host(&database, &format!("delete from t where number >= {acknowledged}"));
        let fill = format!("insert into t select {acknowledged}, value, x'00' from");
        on_host(&database, &format!("{fill} generate_series(0, {ROWS} - 1)"));
    }
    assert_eq!(on_host(&database, "select count(*) from t"), (next * ROWS).to_string());
}

#[test]
fn a_database_of_the_host_survives_machines_that_are_killed() {
    survives_kills("delete");
}

/// Its index is in memory that is shared through a file of the host.
#[test]
fn a_write_ahead_log_of_the_host_survives_machines_that_are_killed() {
    survives_kills("wal");
}

/// Runs `script` under busybox with the host's `/usr` and `scratch` at /data.
fn guest(scratch: &Scratch, script: &str) -> String {
    scratch.file("script", script).unwrap();
    let mut command = Command::new(path());
    command.args(["run", "-v", "/usr:/usr:ro", "-v", ".:/data", "-m", "512M"]);
    command.args(["/bin/busybox", "sh", "/data/script"]).current_dir(scratch.path());
    let mut outcome = run(command, Given::limit(3 * LIMIT)).unwrap();
    take_own_lines(&mut outcome.stderr);
    assert_eq!((outcome.status, outcome.errors().as_str()), (Status::Ended(0), ""));
    outcome.text()
}

#[test]
fn a_database_in_memory_survives_sqlite_that_is_killed() {
    for journal in ["delete", "wal"] {
        let scratch = Scratch::new().unwrap();
        scratch
            .file("head", script(journal, 0).lines().take(6).map(with_end).collect::<String>())
            .unwrap();
        let transactions: String = script(journal, 0).lines().skip(6).map(with_end).collect();
        scratch.file("rest", transactions).unwrap();
        let script = format!(
            "cd /tmp
            for round in $(seq {rounds}); do
                true >acknowledged
                {SQLITE} t.db </data/head >/dev/null
                before=$({SQLITE} t.db 'select count(*) from t')
                {SQLITE} t.db </data/rest >>acknowledged &
                until [ \"$(wc -l <acknowledged)\" -gt $((round % 7)) ]; do sleep 0.01; done
                kill -9 $!
                {{ wait $!; }} 2>/dev/null
                after=$({SQLITE} t.db 'select count(*) from t')
                lines=$(wc -l <acknowledged)
                more=$(((after - before) / {ROWS} - lines))
                [ $(((after - before) % {ROWS})) = 0 ] && [ $more -ge 0 ] && [ $more -le 1 ] ||
                    echo \"$lines transactions were acknowledged, and $more more are there\"
                {SQLITE} t.db 'pragma integrity_check'
            done",
            rounds = rounds(),
        );
        assert_eq!(guest(&scratch, &script), "ok\n".repeat(rounds() as usize));
    }
}

fn with_end(line: &str) -> String {
    format!("{line}\n")
}

#[test]
fn sqlite_answers_as_on_linux() {
    let scratch = Scratch::new().unwrap();
    let words = "create table t(a, b); insert into t select value, value * value from \
                 generate_series(1, 2000); create index i on t(b); delete from t where a % 3 = 0;
                 update t set b = b + 1 where a < 50; vacuum; pragma integrity_check; \
                 select count(*), sum(a), max(b) from t;\n.schema\n.tables\nselect 1/0, 'é', x'00ff';";
    scratch.file("words", words).unwrap();
    let mut shell = Command::new(SQLITE);
    shell.arg(scratch.path().join("linux.db"));
    let words = fs::read(scratch.path().join("words")).unwrap();
    let linux = run(shell, Given::limit(LIMIT).with_stdin(words)).unwrap();
    assert_eq!(linux.status, Status::Ended(0));
    for database in ["/data/birgus.db", "/tmp/birgus.db"] {
        let birgus = guest(&scratch, &format!("{SQLITE} {database} </data/words"));
        assert_eq!(birgus, linux.text());
    }
    let mut pages = [String::new(), String::new()];
    for (pages, name) in pages.iter_mut().zip(["linux.db", "birgus.db"]) {
        let mut bytes = Vec::new();
        fs::File::open(scratch.path().join(name)).unwrap().read_to_end(&mut bytes).unwrap();
        // The number of changes and the version of who wrote it last are in the header.
        *pages = format!("{:?}", &bytes[100..]);
    }
    assert!(pages[0] == pages[1], "the same statements made different files");
}
