// Users, groups and capabilities as data: what root may become, and what it then may not.
#include "children.h"
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static char self[PATH_MAX];

static void show_users(void)
{
    uid_t real, effective, saved;
    getresuid(&real, &effective, &saved);
    printf("uid %d %d %d\n", real, effective, saved);
}

static void show_groups(void)
{
    gid_t real, effective, saved;
    getresgid(&real, &effective, &saved);
    printf("gid %d %d %d\n", real, effective, saved);
}

/* CAP_CHOWN, CAP_SETUID and CAP_SYS_ADMIN of the three sets. */
static void show_capabilities(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2] = { 0 };
    unsigned mask = 1 << CAP_CHOWN | 1 << CAP_SETUID | 1 << CAP_SYS_ADMIN;
    CALL(syscall(SYS_capget, &header, data));
    printf("effective %#x, permitted %#x, inheritable %#x\n", data[0].effective & mask,
           data[0].permitted & mask, data[0].inheritable & mask);
}

static void dropped_for_good(void)
{
    IN_CHILD(
        show_capabilities();
        CALL(setgroups(2, (gid_t[]){ 10, 20 }));
        gid_t groups[4];
        CALL(getgroups(0, NULL));
        CALL(getgroups(1, groups));
        CALL(getgroups(4, groups));
        printf("%d %d\n", groups[0], groups[1]);
        CALL(setgid(1000));
        CALL(setuid(1001));
        show_users();
        show_groups();
        show_capabilities();
        CALL(setuid(0));
        CALL(setgid(0));
        CALL(seteuid(0));
        CALL(setegid(0));
        CALL(setreuid(0, 0));
        CALL(setresuid(-1, 0, -1));
        CALL(setgroups(0, NULL));
        CALL(setuid(1001));
        CALL(chown("own", 0, 0));
        CALL(open("secret", O_RDONLY));
        CALL(kill(getppid(), 0));
        CALL(setpriority(0, 0, -5));
        CALL(chroot("/"));
        CALL(sethostname("x", 1));
        show_users();
        IN_CHILD(show_users(); show_groups(); execl(self, "x", "show", NULL)));
}

static void dropped_for_a_while(void)
{
    IN_CHILD(
        CALL(seteuid(1000));
        show_users();
        show_capabilities();
        CALL(open("secret", O_RDONLY));
        CALL(setuid(77));
        CALL(seteuid(0));
        show_capabilities();
        CALL(close(open("secret", O_RDONLY)));
        show_users();
        CALL(setresuid(1, 2, 3));
        show_users();
        CALL(setresuid(3, 1, 2));
        show_users();
        CALL(setresuid(-1, -1, 4));
        CALL(setreuid(1, -1));
        show_users();
        CALL(setreuid(2, 1));
        show_users());
    IN_CHILD(
        CALL(setreuid(5, 6));
        show_users();
        CALL(setreuid(6, 5));
        show_users();
        CALL(setreuid(-1, 6));
        show_users());
    IN_CHILD(
        CALL(setresgid(7, 8, 9));
        show_groups();
        CALL(setregid(9, 7));
        show_groups();
        CALL(setegid(-1));
        CALL(setfsgid(8));
        CALL(setfsgid(-1)));
    IN_CHILD(
        CALL(setfsuid(1000));
        CALL(setfsuid(-1));
        CALL(open("secret", O_RDONLY));
        show_users();
        put("made", "by fsuid");
        struct stat st;
        CALL(stat("made", &st));
        NUMBER(st.st_uid));
}

static void files_of_users(void)
{
    struct stat st;
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        CALL(mkdir("made-by-user", 0755));
        CALL(stat("made-by-user", &st));
        NUMBER(st.st_uid);
        NUMBER(st.st_gid);
        CALL(chmod("own", 0600));
        CALL(unlink("own"));
        CALL(chmod("made-by-user", 0700));
        CALL(chown("made-by-user", 1000, 1000));
        CALL(chown("made-by-user", 1001, -1));
        CALL(access("secret", R_OK));
        CALL(access("secret", F_OK));
        CALL(open("group-file", O_RDONLY));
        CALL(close(open("world-file", O_RDONLY)));
        CALL(open("world-file", O_WRONLY)));
    IN_CHILD(
        setgroups(1, (gid_t[]){ 50 });
        setgid(1000);
        setuid(1000);
        CALL(close(open("group-file", O_RDONLY)));
        CALL(open("group-file", O_WRONLY)));
    /* Real ids decide access(2), effective ones open(2). */
    IN_CHILD(
        CALL(setresuid(1000, 0, 0));
        CALL(access("secret", R_OK));
        CALL(faccessat(AT_FDCWD, "secret", R_OK, AT_EACCESS));
        CALL(close(open("secret", O_RDONLY))));
    /* Set-user-ID programs change the effective user of a descendant. */
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        execl("mounted/set-uid", "x", "show", NULL);
        printf("%s\n", errno_name(errno)));
}

/* A program that sets user and group, on a file system of its own: others may forbid it. */
static void make_set_uid(void)
{
    char buffer[65536];
    ssize_t length;
    mkdir("mounted", 0755);
    CALL(mount("none", "mounted", "tmpfs", 0, "mode=755"));
    int from = open(self, O_RDONLY);
    int to = open("mounted/set-uid", O_WRONLY | O_CREAT, 0755);
    while ((length = read(from, buffer, sizeof buffer)) > 0)
        write(to, buffer, length);
    close(to);
    CALL(chown("mounted/set-uid", 2000, 2000));
    CALL(chmod("mounted/set-uid", 06755));
}

static void capabilities(void)
{
    struct __user_cap_header_struct header = { 0x12345678, 0 };
    struct __user_cap_data_struct data[2] = { 0 };
    CALL(syscall(SYS_capget, &header, data));
    HEX(header.version);
    CALL(syscall(SYS_capget, &header, NULL));
    header.pid = -1;
    CALL(syscall(SYS_capget, &header, data));
    header.pid = 999999;
    CALL(syscall(SYS_capget, &header, data));
    CALL(prctl(PR_CAPBSET_READ, CAP_CHOWN));
    CALL(prctl(PR_CAPBSET_READ, 99));
    CALL(prctl(PR_GET_KEEPCAPS));
    CALL(prctl(PR_GET_SECUREBITS));
    IN_CHILD(
        header = (struct __user_cap_header_struct){ _LINUX_CAPABILITY_VERSION_3, 0 };
        data[0].permitted = data[0].effective = 1 << CAP_CHOWN;
        CALL(syscall(SYS_capset, &header, data));
        show_capabilities();
        CALL(setuid(1));
        CALL(chown("own", 5, 5));
        data[0].permitted |= 1 << CAP_SETUID;
        CALL(syscall(SYS_capset, &header, data));
        data[0].permitted = 0;
        CALL(syscall(SYS_capset, &header, data));
        data[0].effective = 0;
        CALL(syscall(SYS_capset, &header, data));
        CALL(chown("own", 6, 6)));
    IN_CHILD(
        CALL(prctl(PR_SET_KEEPCAPS, 1));
        CALL(setuid(1000));
        show_capabilities());
    IN_CHILD(
        CALL(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
        CALL(prctl(PR_CAPBSET_READ, CAP_CHOWN)));
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        show_users();
        show_groups();
        return 0;
    }
    self[readlink("/proc/self/exe", self, sizeof self - 1)] = 0;
    enter_scratch();
    chmod(".", 0777);
    put("secret", "s");
    chmod("secret", 0600);
    put("own", "o");
    put("world-file", "w");
    put("group-file", "g");
    chown("group-file", 0, 50);
    chmod("group-file", 0640);
    show_users();
    show_groups();
    make_set_uid();
    dropped_for_good();
    dropped_for_a_while();
    capabilities();
    files_of_users();
    CALL(umount("mounted"));
    return 0;
}
