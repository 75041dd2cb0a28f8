// One program that speaks LTP's protocol in every way that matters to its runner. What it
// does is its first argument; a result line and the exit status are all that LTP defines.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char *result, const char *words)
{
    fprintf(stderr, "protocol.c:%d: %s: %s\n", __LINE__, result, words);
}

static void summary(int passed, int failed, int broken, int skipped, int warnings)
{
    fprintf(stderr,
            "\nSummary:\npassed   %d\nfailed   %d\nbroken   %d\nskipped  %d\nwarnings %d\n",
            passed, failed, broken, skipped, warnings);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    say("TINFO", "begins");
    if (!strcmp(what, "pass")) {
        say("TPASS", "first");
        say("TPASS", "second");
        summary(2, 0, 0, 0, 0);
        return 0;
    }
    if (!strcmp(what, "old-pass")) {
        printf("protocol    1  TPASS  :  the old form\n");
        return 0;
    }
    if (!strcmp(what, "fail")) {
        say("TPASS", "first");
        say("TFAIL", "<b>second</b> & \033[31mred");
        summary(1, 1, 0, 0, 0);
        return 1;
    }
    if (!strcmp(what, "brok")) {
        say("TBROK", "no memory information");
        summary(0, 0, 1, 0, 0);
        return 2;
    }
    if (!strcmp(what, "warn")) {
        say("TPASS", "first");
        say("TWARN", "cannot tidy up");
        summary(1, 0, 0, 0, 1);
        return 4;
    }
    if (!strcmp(what, "conf")) {
        say("TCONF", "not supported");
        summary(0, 0, 0, 1, 0);
        return 32;
    }
    if (!strcmp(what, "lie")) {
        say("TFAIL", "failed all the same");
        summary(0, 1, 0, 0, 0);
        return 0;
    }
    if (!strcmp(what, "hang")) {
        say("TPASS", "first");
        for (;;)
            pause();
    }
    if (!strcmp(what, "missing-call")) {
        // A number that no system call has kept since Linux 2.6.
        long result = syscall(174, 0, 0, 0, 0);
        say(result < 0 ? "TFAIL" : "TPASS", "create_module: ENOSYS");
        return result < 0;
    }
    if (!strcmp(what, "litter")) {
        // Nothing of it may be there for the next entry.
        const char *place = getenv("TMPDIR");
        char name[4096];
        snprintf(name, sizeof(name), "%s/litter", place ? place : "/tmp");
        int fresh = access(name, F_OK) != 0 && mkdir(name, 0700) == 0;
        if (fork() == 0) {
            setsid();
            for (;;)
                pause();
        }
        // So that the other one runs.
        usleep(20000);
        say(fresh ? "TPASS" : "TFAIL", "the directory is fresh");
        return !fresh;
    }
    if (!strcmp(what, "kill-all")) {
        kill(-1, SIGTERM);
        usleep(20000);
        say("TPASS", "killed all others");
        return 0;
    }
    if (!strcmp(what, "tool")) {
        int there = access("/usr/bin/tac", X_OK) == 0 && system("echo ok | tac") == 0;
        say(there ? "TPASS" : "TFAIL", "a shell and its commands are there");
        return !there;
    }
    if (!strcmp(what, "signal")) {
        raise(SIGSEGV);
    }
    if (!strcmp(what, "helper")) {
        // The runner brings the programs that are named as a string.
        int there = access("/etc/group", R_OK) == 0;
        const char *root = getenv("LTPROOT");
        char path[4096];
        snprintf(path, sizeof(path), "%s/testcases/bin/%s", root ? root : "", "protocol_child");
        there = there && access(path, X_OK) == 0;
        say(there ? "TPASS" : "TFAIL", "the helper and the groups are there");
        return !there;
    }
    return 0;
}
