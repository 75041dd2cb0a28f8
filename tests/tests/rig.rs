//! The KVM engine in the nested rig, with `BIRGUS_TEST_FULL=1`: programs of `tests/programs`
//! behave as on Linux; machines end, share and stand what they should.

use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use birgus_tests::birgus::take_own_lines;
use birgus_tests::compare::compare;
use birgus_tests::full;
use birgus_tests::program::Program;
use birgus_tests::rig::{self, Brought};
use birgus_tests::run::{Outcome, Status, run};
use birgus_tests::scratch::Scratch;
use birgus_tests::sides::natively;

/// Time for a run on Linux.
const NATIVE_LIMIT: Duration = Duration::from_secs(30);

/// Seconds for a run in the rig, where everything is slow.
const RIG_SECONDS: u32 = 120;

/// Time for the whole rig.
const LIMIT: Duration = Duration::from_secs(3600);

/// Programs that run in one boot of the rig.
const PER_BOOT: usize = 24;

/// How often a program is tried: what it sees of time, and who comes first, depends on how busy
/// the host is, and the rig is slow.
const ATTEMPTS: u32 = 3;

/// Before the parts of what came of a program.
const MARK: &str = "\u{2}part";

/// A program, and what it does on Linux.
struct Case {
    program: Program,
    path: PathBuf,
    input: Vec<u8>,
    linux: Outcome,
}

#[test]
fn programs_behave_under_kvm_as_on_linux() -> Result<(), Box<dyn Error>> {
    if !full() {
        return Ok(());
    }
    let cases = Program::all()?.into_iter().map(prepare);
    let cases: Vec<Case> = cases.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    assert!(!cases.is_empty(), "no programs were found");
    let mut failures = Vec::new();
    for part in cases.chunks(PER_BOOT) {
        let mut left: Vec<&Case> = part.iter().collect();
        let mut differences = Vec::new();
        for _ in 0..ATTEMPTS {
            (left, differences) = differing(&left)?.into_iter().unzip();
            if left.is_empty() {
                break;
            }
        }
        for (case, difference) in left.iter().zip(differences) {
            failures.push(format!("{}: {difference}", case.program.test_name()));
            eprintln!("{}", failures[failures.len() - 1]);
        }
        eprintln!("up to {}: {} differ", part[part.len() - 1].program.test_name(), failures.len());
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    Ok(())
}

/// Runs programs in the rig, and says which of them behave in another way than on Linux.
fn differing<'a>(cases: &[&'a Case]) -> Result<Vec<(&'a Case, String)>, Box<dyn Error>> {
    let scratch = Scratch::new()?;
    let mut files: Vec<Brought> = Vec::new();
    let mut script = String::new();
    for (number, case) in cases.iter().enumerate() {
        let input = scratch.path().join(number.to_string());
        fs::write(&input, &case.input)?;
        files.push((input, format!("/input/{number}")));
        files.push((case.path.clone(), case.path.to_string_lossy().into_owned()));
        script.push_str(&commands(number, case));
    }
    let ended = rig::run(&files, &script, LIMIT, &mut io::sink())?;
    let text = String::from_utf8(ended.output)?;
    let mut parts = text.split(MARK).skip(1);
    let mut found = Vec::new();
    for &case in cases {
        let mut part = || parts.next().map(str::trim).ok_or("the rig said too little");
        let status = Status::Ended(part()?.parse()?);
        let (stdout, mut stderr) = (decode(part()?)?, decode(part()?)?);
        let own = take_own_lines(&mut stderr);
        if let Err(difference) = compare(&case.linux, &Outcome { status, stdout, stderr }, &own) {
            found.push((case, difference.to_string()));
        }
    }
    Ok(found)
}

/// What a machine on KVM does besides running programs: how it ends, what it shares, and what
/// it lets a hostile guest do. Each line that fails says so.
const SCRIPT: &str = r#"
cd /tmp
expect() { [ "$1" = "$2" ] || echo "FAILED: $3: $1 is not $2"; }
run() { birgus run --engine kvm --timeout 60 "$@" >out 2>err; echo $?; }
expect "$(run --verbose /programs/exit_with 200)" 200 'an exit status'
grep -q lacks err && echo "FAILED: the sandbox is not whole: $(cat err)"
expect "$(run --no-sandbox /programs/exit_with 7)" 7 'without a sandbox'
expect "$(run --timeout 3 /programs/never_ends busy)" 124 'a busy guest'
expect "$(run --timeout 3 --kernel-arg birgus.debug=hang /programs/exit_with 0)" 124 'a stuck kernel'
expect "$(run --kernel-arg birgus.debug=panic /programs/exit_with 0)" 125 'a panic'
mkdir share && echo inside >share/file && ln -s /etc share/link && echo outside >secret
status=$(run -v /tmp/share:/s /bin/busybox sh -c 'cat /s/file; echo new >/s/made; cat /s/../secret; rm /s/file')
expect "$(cat out share/made; ls share)" "$(printf 'inside\nnew\nlink\nmade')" 'a shared directory'
status=$(run -v /tmp/share:/s:ro /bin/busybox sh -c 'echo x >/s/made')
expect "$status $(cat share/made)" '1 new' 'a directory that is only read'
birgus run --engine kvm --timeout 60 /bin/busybox echo one >one & first=$!
birgus run --engine kvm --timeout 60 /bin/busybox echo two >two
wait $first
expect "$(cat one two)" "$(printf 'one\ntwo')" 'two machines at once'
tunctl -t t0 >/dev/null; ip addr add 192.0.2.2/24 dev t0; ip link set t0 up
ip route add default via 192.0.2.1
birgus run --engine kvm -p 8080:80 -v /tmp/share:/w:ro /bin/busybox httpd -f -p 80 -h /w & first=$!
served=$(for i in $(seq 30); do sleep 1; wget -q -O - http://127.0.0.1:8080/made 2>/dev/null && break; done)
expect "$served" new 'a published port'
kill $first; wait $first
expect "$(ps -o args | grep -c '[p]asst')" 0 'what is left of the network'
birgus run --engine kvm /programs/never_ends busy >/dev/null & first=$!
sleep 4; kill -9 $first; sleep 1
expect "$(ps -o args | grep -c '[m]onitor')" 0 'what a killed birgus leaves'
status=$(run --timeout 200 /programs/hostile)
case $status in 0 | 124 | 125) ;; *) echo "FAILED: a hostile guest: $status" ;; esac
grep -q 'killed by signal' err && echo "FAILED: a hostile guest: $(cat err)"
expect "$(head -n 1 out)" ports 'a hostile guest at the ports'
echo done
"#;

#[test]
fn machines_on_kvm_end_share_and_stand_as_they_should() -> Result<(), Box<dyn Error>> {
    if !full() {
        return Ok(());
    }
    let helper = |name: &str| -> io::Result<Brought> {
        Ok((Program::for_boot(name)?.build()?, format!("/programs/{name}")))
    };
    let files = ["exit_with", "never_ends", "hostile"].map(helper);
    let mut files = files.into_iter().collect::<io::Result<Vec<_>>>()?;
    files.push(("/usr/bin/passt".into(), "/bin/passt".into()));
    let ended = rig::run(&files, SCRIPT, LIMIT, &mut io::sink())?;
    assert_eq!(String::from_utf8_lossy(&ended.output), "done\n");
    Ok(())
}

/// The program, built and run on Linux; none where nobody is to read its output.
fn prepare(program: Program) -> Result<Option<Case>, Box<dyn Error>> {
    if program.directives.stdout_closed {
        return Ok(None);
    }
    let path = program.build()?;
    let given = program.given(NATIVE_LIMIT)?;
    let input = given.stdin.clone();
    let (directory, scratch) = (Scratch::new()?, Scratch::on_tmpfs()?);
    let mut command = natively(&path);
    command.args(&program.directives.arguments).current_dir(directory.path());
    command.env("SCRATCH", scratch.path());
    for variable in &program.directives.environment {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        command.env(name, value);
    }
    let linux = run(command, given)?;
    Ok(Some(Case { program, path, input, linux }))
}

/// Runs a program in the rig and says what came of it.
fn commands(number: usize, case: &Case) -> String {
    let directives = &case.program.directives;
    let quoted = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
    let variables = directives.environment.iter().map(|word| format!("-e {} ", quoted(word)));
    let arguments = directives.arguments.iter().map(|word| format!(" {}", quoted(word)));
    format!(
        "birgus run --engine kvm --timeout {RIG_SECONDS} -e SCRATCH=/tmp {}{}{} \
         </input/{number} >/tmp/out 2>/tmp/err\n\
         printf '\\002part%d\\n' $?; printf '\\002part'; base64 /tmp/out\n\
         printf '\\002part'; base64 /tmp/err\n",
        variables.collect::<String>(),
        quoted(&case.path.to_string_lossy()),
        arguments.collect::<String>(),
    )
}

fn decode(base64: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Ok(byte - b'A'),
        b'a'..=b'z' => Ok(byte - b'a' + 26),
        b'0'..=b'9' => Ok(byte - b'0' + 52),
        b'+' => Ok(62),
        b'/' => Ok(63),
        _ => Err(format!("the rig said {base64:?}, which is no base64")),
    };
    let digits = base64.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=');
    let digits = digits.map(digit).collect::<Result<Vec<u8>, _>>()?;
    let bytes = digits.chunks(4).flat_map(|chunk| {
        let word = chunk.iter().fold(0_u32, |word, digit| word << 6 | u32::from(*digit));
        let missing = 4 - chunk.len() as u32;
        (word << (6 * missing)).to_be_bytes().into_iter().skip(1).take(3 - missing as usize)
    });
    Ok(bytes.collect())
}
