// System calls given bad addresses answer EFAULT, and nothing else happens.
// build: glibc musl
#include "check.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

#define BAD ((void *)8)

int main(void)
{
    enter_scratch();
    put("file", "0123456789");
    int fd = open("file", O_RDWR), zero = open("/dev/zero", O_RDONLY);
    char *map = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(map + 4096, 4096, PROT_READ);
    mprotect(map + 8192, 4096, PROT_NONE);
    char *none = map + 8192;
    CALL(read(fd, map + 4096, 4));
    CALL(pread(fd, none, 4, 0));
    CALL(write(fd, none, 4));
    CALL(pread(fd, map + 4090, 10, 0));
    CALL(read(zero, map + 4000, 200));
    CALL(pwrite(fd, map + 8190, 4, 0));
    memset(map + 4096 - 5, 'f', 5);
    CALL(open(none, O_RDONLY));
    CALL(open((char *)0xffffffff80000000, O_RDONLY));
    CALL(open((char *)0x0100000000000000, O_RDONLY));
    map[4091] = 'f';
    map[4092] = 'i';
    map[4093] = 'l';
    map[4094] = 'e';
    map[4095] = 0;
    OK(open(map + 4091, O_RDONLY));
    CALL(access(BAD, F_OK));
    CALL(chdir(BAD));
    CALL(unlink(BAD));
    CALL(rename("file", BAD));
    CALL(syscall(SYS_getcwd, BAD, 100));
    CALL(syscall(SYS_newfstatat, AT_FDCWD, "file", BAD, 0));
    CALL(syscall(SYS_newfstatat, AT_FDCWD, BAD, map, 0));
    CALL(syscall(SYS_uname, BAD));
    CALL(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, BAD));
    CALL(syscall(SYS_clock_getres, CLOCK_MONOTONIC, BAD));
    CALL(syscall(SYS_clock_getres, CLOCK_MONOTONIC, NULL));
    CALL(syscall(SYS_gettimeofday, BAD, NULL));
    CALL(syscall(SYS_nanosleep, BAD, NULL));
    CALL(syscall(SYS_getrlimit, RLIMIT_NOFILE, BAD));
    CALL(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, BAD, NULL));
    CALL(syscall(SYS_getrusage, RUSAGE_SELF, BAD));
    CALL(syscall(SYS_times, BAD));
    CALL(syscall(SYS_sysinfo, BAD));
    CALL(syscall(SYS_getrandom, BAD, 8, 0));
    CALL(syscall(SYS_rt_sigaction, SIGUSR1, BAD, NULL, 8));
    CALL(syscall(SYS_rt_sigaction, SIGUSR1, NULL, BAD, 8));
    CALL(syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD, NULL, 8));
    CALL(syscall(SYS_rt_sigpending, BAD, 8));
    CALL(syscall(SYS_sigaltstack, BAD, NULL));
    CALL(syscall(SYS_getgroups, 0, BAD) >= 0);
    CALL(syscall(SYS_getresuid, BAD, BAD, BAD));
    CALL(syscall(SYS_readlink, "file", BAD, 10));
    CALL(syscall(SYS_getdents64, open(".", O_RDONLY), BAD, 1000));
    CALL(syscall(SYS_sched_getaffinity, 0, 128, BAD));
    CALL(syscall(SYS_set_robust_list, BAD, 1));
    CALL(syscall(SYS_poll, BAD, 1, 0));
    CALL(syscall(SYS_statfs, BAD, map));
    CALL(syscall(SYS_statfs, ".", BAD));
    CALL(syscall(SYS_setitimer, ITIMER_REAL, BAD, NULL));
    CALL(syscall(SYS_prctl, 15, BAD));
    lseek(fd, 0, SEEK_SET);
    TEXT(get("file"));
    return 0;
}
