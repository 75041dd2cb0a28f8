# Python: processes, signals, memory maps, foreign functions, and modules of its library.
import array, bz2, contextlib, csv, ctypes, datetime, decimal, email.message, errno, fcntl
import fractions, gzip, hashlib, io, json, lzma, mmap, os, pathlib, pickle, platform, pwd, random
import re, resource, select, shelve, shutil, signal, sqlite3, stat, struct, subprocess, sys
import tarfile, tempfile, time, unicodedata, unittest, uuid, zipfile, zlib
import xml.etree.ElementTree as tree


def say(*words):
    print(*words, flush=True)


def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def child(body):
    pid = os.fork()
    if pid == 0:
        os._exit(body() or 0)
    return pid


say("fork", status(child(lambda: 7)), status(child(lambda: os.kill(os.getpid(), 9))))
say(subprocess.run(["echo", "captured"], capture_output=True, text=True))
say(subprocess.run("exit 3", shell=True).returncode)
say(subprocess.check_output(["tr", "a-z", "A-Z"], input=b"x" * 200000).count(b"X"))
try:
    subprocess.run(["sleep", "60"], timeout=0.3)
except subprocess.TimeoutExpired:
    say("timed out")
try:
    subprocess.run(["/no/program"])
except FileNotFoundError as error:
    say(error)
first = subprocess.Popen(["seq", "1000"], stdout=-1)
second = subprocess.Popen(["wc", "-l"], stdin=first.stdout, stdout=-1)
first.stdout.close()
say(second.communicate(), first.wait())
shell = subprocess.Popen(
    "cat; echo $A >&2; pwd; nice; exit 4", shell=True, stdin=-1, stdout=-1, stderr=-1, cwd="/tmp",
    env={"A": "b", "PATH": os.environ["PATH"]}, start_new_session=True,
    preexec_fn=lambda: os.nice(19))
say(shell.communicate(b"in "), shell.returncode)
say(os.system("exit 9") >> 8, os.popen("echo popen").read())
say(status(os.posix_spawn("/bin/echo", ["echo", "spawned"], os.environ)))
say([status(child(lambda: n)) for n in range(5)])

large = bytearray(30 << 20)


def write_all():
    large[::4096] = b"x" * len(large[::4096])
    return large[4096]


say("copied on write", status(child(write_all)), large[4096])
shared = mmap.mmap(-1, 4096)
status(child(lambda: shared.write(b"from the child") * 0))
say(shared[:14])

caught = []
signal.signal(signal.SIGUSR1, lambda number, frame: caught.append(number))
os.kill(os.getpid(), signal.SIGUSR1)
say(caught == [signal.SIGUSR1])


def alarm(number, frame):
    raise TimeoutError("alarm")


signal.signal(signal.SIGALRM, alarm)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    time.sleep(60)
except TimeoutError as error:
    say(error)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
say(signal.sigtimedwait([signal.SIGUSR2], 0.01))
os.kill(os.getpid(), signal.SIGUSR2)
say(signal.sigwait([signal.SIGUSR2]) == signal.SIGUSR2)

read, write = os.pipe()
poll = select.poll()
poll.register(read, select.POLLIN)
say(poll.poll(10))
os.write(write, b"x")
say([events for _, events in poll.poll(10)], select.select([read], [], [], 0)[0] == [read])
os.set_blocking(read, False)
os.read(read, 10)
try:
    os.read(read, 1)
except BlockingIOError as error:
    say(error)
memory = os.memfd_create("x")
os.write(memory, b"memory")
say(os.pread(memory, 3, 3), os.sendfile(write, memory, 0, 6), os.read(read, 10))

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    (folder / "mapped").write_bytes(b"\0" * 10000)
    with open(folder / "mapped", "r+b") as file, mmap.mmap(file.fileno(), 0) as map:
        map[:5] = b"hello"
        map.flush()
        say(file.read(5), map.find(b"lo"), len(map))
        map.resize(20000)
        map[19999:] = b"z"
        say(os.path.getsize(folder / "mapped"))
    base = sqlite3.connect(folder / "base")
    say(base.execute("pragma journal_mode=wal").fetchone())
    base.execute("create table t(a, b)")
    base.executemany("insert into t values(?, ?)", [(i, str(i)) for i in range(1000)])
    base.commit()
    say(base.execute("select count(*), sum(a) from t").fetchone())
    base.close()
    for letter in "abc":
        (folder / letter).write_text(letter)
    say(sorted(os.listdir(folder)), sorted(path.name for path in folder.glob("[ab]")))
    with tarfile.open(folder / "tar.gz", "w:gz") as archive:
        archive.add(folder / "a", "a")
    with tarfile.open(folder / "tar.gz") as archive:
        say(archive.getnames())
    with zipfile.ZipFile(folder / "zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("n", "x" * 1000)
    say(zipfile.ZipFile(folder / "zip").read("n")[:3])
    with shelve.open(str(folder / "shelf")) as shelf:
        shelf["key"] = [1, {2: None}]
    with shelve.open(str(folder / "shelf")) as shelf:
        say(shelf["key"])
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.lockf(lock, fcntl.LOCK_EX)

    def try_lock():
        try:
            fcntl.lockf(os.open(folder / "lock", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno

    say("locked", status(child(try_lock)) == errno.EAGAIN)
    os.link(folder / "a", folder / "hard")
    os.symlink("a", folder / "soft")
    os.truncate(folder / "a", 100)
    os.utime(folder / "a", (1, 2))
    found = os.stat(folder / "soft")
    say(found.st_nlink, found.st_mtime, found.st_size, os.readlink(folder / "soft"))
    say([entry.name for entry in os.scandir(folder) if entry.is_symlink()])
    shutil.copytree(folder, folder / "all" / "copy", ignore=lambda *_: ["all"])
    shutil.rmtree(folder / "all")

library = ctypes.CDLL(None)
say(library.strlen(b"four"))
cosine = ctypes.CDLL("libm.so.6").cos
cosine.restype, cosine.argtypes = ctypes.c_double, [ctypes.c_double]
say(cosine(0.0))
compare = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.POINTER(ctypes.c_int)] * 2)
numbers = (ctypes.c_int * 5)(5, 1, 4, 2, 3)
library.qsort(numbers, 5, 4, compare(lambda a, b: a[0] - b[0]))
say(list(numbers))
say("a null pointer", status(child(lambda: ctypes.string_at(0))))

say(json.dumps({"a": [1, 2.5, None]}), pickle.loads(pickle.dumps({1: (2,)})), struct.pack("<hI", 1, 2))
say([hashlib.new(name, b"a").hexdigest()[:8] for name in ("md5", "sha256", "sha3_256", "blake2b")])
say([len(pack.compress(b"x" * 10000)) for pack in (zlib, bz2, lzma)], zlib.crc32(b"a"))
say(tree.fromstring("<a><b c='1'/></a>")[0].attrib, decimal.Decimal(1) / 7, unicodedata.name("é"))
say(fractions.Fraction(1, 3) + 1, uuid.uuid5(uuid.NAMESPACE_DNS, "x"), platform.machine())
random.seed(1)
say(random.random(), re.sub(r"(\w+) (\w+)", r"\2 \1", "one two"), datetime.date(2000, 1, 1))
say(pwd.getpwuid(0).pw_name, os.getpgid(0) == os.getpid(), len(os.urandom(16)))
sys.exit(6)
