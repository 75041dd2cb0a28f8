// Pseudoterminals: pairs, echo, signals, sessions, hang-up, window size, packet mode.
// build: glibc musl
#include "check.h"
#include "children.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

static char block[65536];

static void show(const char *when, int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };
    poll(&one, 1, 0);
    printf("%s: %#x\n", when, one.revents);
}

static void see(const char *when, int fd)
{
    int length = read(fd, block, sizeof block);
    printf("%s: %d", when, length);
    if (length < 0)
        printf(" %s", errno_name(errno));
    for (int i = 0; i < length && i < 80; i++)
        printf(block[i] >= ' ' && block[i] < 127 ? "%s%c" : "%s\\%03o", i ? "" : " ", block[i] & 255);
    printf("\n");
}

static int open_master(char *name)
{
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY), number = -1, unlock = 0;
    ioctl(master, TIOCGPTN, &number);
    sprintf(name, "/dev/pts/%d", number);
    ioctl(master, TIOCSPTLCK, &unlock);
    return master;
}

static void pairs(void)
{
    char name[32];
    struct stat status;
    int lock = -1, unlock = 0, on = 1, number;
    int master = OK(posix_openpt(O_RDWR | O_NOCTTY));
    CALL(ioctl(master, TIOCGPTN, &number));
    sprintf(name, "/dev/pts/%d", number);
    CALL(open(name, O_RDWR | O_NOCTTY));
    CALL(ioctl(master, 0x80045439, &lock));
    printf("locked %d\n", lock);
    CALL(grantpt(master));
    CALL(unlockpt(master));
    TRUTH(!strcmp(ptsname(master), name));
    CALL(stat(name, &status));
    printf("mode %o, major %d\n", status.st_mode & ~077, (int)major(status.st_rdev));
    int slave = OK(open(name, O_RDWR | O_NOCTTY));
    TRUTH(!strcmp(ttyname(slave), name));
    TRUTH(isatty(slave) && isatty(master));
    show("master", master);
    show("slave", slave);
    CALL(write(master, "hello\n", 6));
    see("slave", slave);
    see("master", master);
    CALL(write(slave, "a\tb\nc", 5));
    see("master", master);
    CALL(write(master, "half", 4));
    show("slave with half a line", slave);
    CALL(write(master, "\177\025line\004", 7));
    see("slave", slave);
    see("master", master);
    CALL(write(master, "\004", 1));
    see("slave at end of file", slave);
    struct termios settings;
    CALL(tcgetattr(master, &settings));
    printf("flags %o %o %o %o\n", settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag);
    cfmakeraw(&settings);
    CALL(tcsetattr(slave, TCSADRAIN, &settings));
    CALL(write(master, "\003\r\n", 3));
    see("slave, raw", slave);
    CALL(write(slave, "\n\t", 2));
    int waiting;
    show("master with bytes", master);
    CALL(ioctl(master, FIONREAD, &waiting));
    printf("waiting %d\n", waiting);
    see("master", master);
    struct winsize size = { 25, 81, 0, 0 };
    CALL(ioctl(master, TIOCSWINSZ, &size));
    memset(&size, 0, sizeof size);
    CALL(ioctl(slave, TIOCGWINSZ, &size));
    printf("%d x %d\n", size.ws_row, size.ws_col);
    CALL(ioctl(slave, TIOCGPTN, &number));
    CALL(tcgetsid(slave));
    fcntl(master, F_SETFL, O_NONBLOCK);
    see("master, nothing there", master);
    CALL(ioctl(master, TIOCPKT, &on));
    CALL(write(slave, "data", 4));
    see("packet", master);
    CALL(tcflush(slave, TCIOFLUSH));
    show("flushed", master);
    see("packet", master);
    CALL(tcflow(slave, TCOOFF));
    see("packet", master);
    CALL(tcflow(slave, TCOON));
    see("packet", master);
    on = 0;
    CALL(ioctl(master, TIOCPKT, &on));
    close(slave);
    show("slave closed", master);
    see("master", master);
    slave = OK(open(name, O_RDWR | O_NOCTTY));
    show("slave opened again", master);
    CALL(write(slave, "last", 4));
    close(slave);
    see("master", master);
    see("master", master);
    slave = OK(ioctl(master, 0x5441, O_RDWR | O_NOCTTY));
    close(master);
    show("master closed", slave);
    see("slave", slave);
    CALL(write(slave, "x", 1));
    CALL(tcgetattr(slave, &settings));
    CALL(open(name, O_RDWR | O_NOCTTY));
    close(slave);
}

static void full(void)
{
    char name[32];
    int master = open_master(name), slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
    struct termios settings;
    tcgetattr(slave, &settings);
    cfmakeraw(&settings);
    tcsetattr(slave, TCSANOW, &settings);
    long written = 0, received = 0, now;
    memset(block, 'x', sizeof block);
    while ((now = write(slave, block, 1000)) > 0)
        written += now;
    printf("stopped by %s\n", errno_name(errno));
    fcntl(master, F_SETFL, O_NONBLOCK);
    while ((now = read(master, block, sizeof block)) > 0)
        received += now;
    TRUTH(written > 4000 && received == written);
    show("slave", slave);
    close(master), close(slave);
}

static volatile int got[65];
static void note(int number) { got[number]++; }

static void sessions(void)
{
    char name[32];
    int master = open_master(name), status;
    pid_t child = CHILD({
        CALL(setsid() > 0 ? 0 : -1);
        CALL(open("/dev/tty", O_RDWR));
        int slave = OK(open(name, O_RDWR));
        int tty = OK(open("/dev/tty", O_RDWR));
        TRUTH(tcgetsid(slave) == getpid() && tcgetpgrp(tty) == getpid());
        TRUTH(tcgetpgrp(master) == getpid());
        signal(SIGINT, note), signal(SIGQUIT, note), signal(SIGWINCH, note), signal(SIGTTOU, note);
        write(master, "\003\034", 2);
        for (int i = 0; i < 500 && !(got[SIGINT] && got[SIGQUIT]); i++)
            usleep(10000);
        printf("int %d, quit %d\n", got[SIGINT], got[SIGQUIT]);
        struct winsize size = { 30, 90, 0, 0 };
        ioctl(master, TIOCSWINSZ, &size);
        printf("winch %d\n", got[SIGWINCH]);
        ioctl(slave, TIOCSWINSZ, &size);
        printf("winch %d\n", got[SIGWINCH]);
        pid_t job = CHILD({
            setpgid(0, 0);
            signal(SIGTTIN, SIG_IGN);
            CALL(read(slave, block, 1));
            signal(SIGTTIN, SIG_DFL);
            CALL(read(slave, block, 1));
            CALL(tcsetpgrp(slave, getpgrp()));
        });
        waitpid(job, &status, WUNTRACED);
        printf("%s\n", status_words(status));
        tcsetpgrp(slave, job);
        TRUTH(tcgetpgrp(slave) == job);
        write(master, "ab\n", 3);
        kill(job, SIGCONT);
        waitpid(job, &status, WUNTRACED);
        printf("%s\n", status_words(status));
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(slave, getpid());
        job = CHILD(setpgid(0, 0); signal(SIGTSTP, SIG_DFL); pause());
        setpgid(job, job);
        tcsetpgrp(slave, job);
        write(master, "\032", 1);
        waitpid(job, &status, WUNTRACED);
        printf("%s\n", status_words(status));
        kill(job, SIGKILL);
        waitpid(job, &status, 0);
        tcsetpgrp(slave, getpid());
        signal(SIGHUP, note);
        CALL(ioctl(slave, TIOCNOTTY));
        printf("hup %d\n", got[SIGHUP]);
        CALL(open("/dev/tty", O_RDWR));
        CALL(ioctl(slave, TIOCSCTTY, 0));
        close(slave), close(tty);
    });
    waitpid(child, &status, 0);
    printf("%s\n", status_words(status));
    close(master);

    int ready[2];
    pipe(ready);
    master = open_master(name);
    child = CHILD({
        setsid();
        int slave = open(name, O_RDWR);
        close(master);
        write(ready[1], "x", 1);
        (void)slave;
        for (;;)
            pause();
    });
    read(ready[0], block, 1);
    close(master);
    waitpid(child, &status, 0);
    printf("master closed: %s\n", status_words(status));

    master = open_master(name);
    child = CHILD({
        setsid();
        int slave = open(name, O_RDWR);
        pid_t job = CHILD({ signal(SIGHUP, SIG_DFL); setpgid(0, 0); write(ready[1], "x", 1); pause(); });
        read(ready[0], block, 1);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(slave, job);
        write(slave, "bye", 3);
    });
    waitpid(child, &status, 0);
    see("master, leader gone", master);
    struct pollfd one = { .fd = master, .events = POLLIN };
    poll(&one, 1, 5000);
    printf("%#x\n", one.revents);
    close(master), close(ready[0]), close(ready[1]);
}

int main(void)
{
    enter_scratch();
    signal(SIGHUP, SIG_IGN);
    signal(SIGHUP, SIG_DFL);
    pairs();
    full();
    sessions();
    return 0;
}
