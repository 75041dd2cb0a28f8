// Who and where the program is: ids, names, limits.
// build: glibc pie musl
#include "check.h"
#include <sched.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

int main(void)
{
    TRUTH(getpid() > 1);
    TRUTH(syscall(SYS_gettid) == getpid());
    TRUTH(getppid() >= 0 && getppid() != getpid());
    TRUTH(getuid() == geteuid() && getgid() == getegid());
    uid_t r, e, s;
    CALL(getresuid(&r, &e, &s));
    TRUTH(r == getuid() && e == r && s == r);
    CALL(getresgid(&r, &e, &s));
    TRUTH(r == getgid() && e == r && s == r);
    CALL(setuid(getuid()));
    CALL(setgid(getgid()));
    CALL(setresuid(-1, -1, -1));
    TRUTH(getpgrp() > 0 && getsid(0) > 0 && getpgid(0) == getpgrp());
    CALL(getpgid(4194303));
    struct utsname name;
    CALL(uname(&name));
    TEXT(name.sysname);
    TEXT(name.machine);
    TRUTH(name.nodename[0] && name.release[0] >= '3' && name.release[0] <= '9' && name.version[0]);
    char host[65];
    CALL(gethostname(host, sizeof host));
    TRUTH(strcmp(host, name.nodename) == 0);

    struct rlimit limit, changed = { 100, 200 };
    for (int i = 0; i < 16; i++)
        if (getrlimit(i, &limit) != 0 || limit.rlim_cur > limit.rlim_max)
            printf("limit %d is strange\n", i);
    CALL(getrlimit(16, &limit));
    CALL(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }));
    CALL(prlimit(0, RLIMIT_NOFILE, &changed, &limit));
    CALL(prlimit(getpid(), RLIMIT_NOFILE, NULL, &limit));
    NUMBER(limit.rlim_cur);
    NUMBER(limit.rlim_max);
    CALL(sysconf(_SC_OPEN_MAX));
    CALL(prlimit(4194303, RLIMIT_NOFILE, NULL, &limit));
    struct sysinfo info;
    CALL(sysinfo(&info));
    TRUTH(info.totalram * info.mem_unit > 8 << 20 && info.freeram <= info.totalram);
    TRUTH(info.procs >= 1 && info.uptime >= 0);

    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CALL(sched_getaffinity(0, sizeof cpus, &cpus));
    TRUTH(CPU_COUNT(&cpus) >= 1);
    CALL(syscall(SYS_sched_getaffinity, 0, 1, &cpus));
    CALL(syscall(SYS_sched_getaffinity, 4194303, sizeof cpus, &cpus));
    TRUTH(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
    NUMBER(sysconf(_SC_PAGESIZE));
    NUMBER(sysconf(_SC_CLK_TCK));
    CALL(sched_yield());
    CALL(syscall(SYS_sched_getscheduler, 0));
    /* Whoever started the program may have given it another one. */
    setpriority(PRIO_PROCESS, 0, 0);
    CALL(getpriority(PRIO_PROCESS, 0));
    unsigned cpu = 9999;
    CALL(syscall(SYS_getcpu, &cpu, NULL, NULL));
    TRUTH(cpu < 4096);

    char title[17] = "";
    CALL(prctl(PR_GET_NAME, title));
    TRUTH(strncmp(title, "identity", 8) == 0);
    CALL(prctl(PR_SET_NAME, "a name that is too long"));
    CALL(prctl(PR_GET_NAME, title));
    TEXT(title);
    CALL(prctl(PR_GET_DUMPABLE));
    CALL(prctl(PR_SET_DUMPABLE, 0));
    CALL(prctl(PR_GET_DUMPABLE));
    CALL(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CALL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    CALL(prctl(99999));

    unsigned char bytes[300] = { 0 };
    CALL(getrandom(bytes, 256, 0));
    CALL(getrandom(bytes, 300, GRND_NONBLOCK));
    CALL(getrandom(bytes, 0, 0));
    CALL(getrandom(bytes, 8, GRND_RANDOM));
    CALL(getrandom(bytes, 8, 64));
    int set = 0;
    for (int i = 0; i < 256; i++)
        set += __builtin_popcount(bytes[i]);
    TRUTH(set > 800 && set < 1250);

    unsigned long base = 0;
    CALL(syscall(SYS_arch_prctl, 0x1003, &base));
    TRUTH(base != 0);
    CALL(syscall(SYS_arch_prctl, 0x1002, 0x0100000000000000));
    CALL(syscall(SYS_arch_prctl, 0x7777, 0));
    CALL(syscall(SYS_arch_prctl, 0x1001, 0x1234000));
    CALL(syscall(SYS_arch_prctl, 0x1004, &base));
    HEX(base);
    CALL(syscall(9999));
    CALL(syscall(-1));
    return 0;
}
