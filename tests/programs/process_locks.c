// Locks on files between processes: records of fcntl, open file descriptions, flock.
// build: glibc musl
// timeout: 90
#include "children.h"
#include <sys/file.h>

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#endif

static volatile int got;

static void count(int number)
{
    (void)number;
    got++;
}

static struct flock range(int type, long start, long length)
{
    return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start,
                           .l_len = length };
}

static int set(int fd, int command, int type, long start, long length)
{
    struct flock lock = range(type, start, length);
    return fcntl(fd, command, &lock);
}

static void show(int fd, int command, int type, long start, long length, pid_t owner)
{
    struct flock lock = range(type, start, length);
    if (fcntl(fd, command, &lock) != 0)
        printf("%s\n", errno_name(errno));
    else if (lock.l_type == F_UNLCK)
        printf("free\n");
    else
        printf("%s %ld+%ld whence %d, owner %s\n", lock.l_type == F_RDLCK ? "read" : "write",
               (long)lock.l_start, (long)lock.l_len, lock.l_whence,
               lock.l_pid == owner ? "right" : lock.l_pid == -1 ? "-1" : "wrong");
}

static void records(void)
{
    int fd = open("file", O_RDWR | O_CREAT, 0644);
    write(fd, "0123456789", 10);
    pid_t self = getpid();
    CALL(set(fd, F_SETLK, F_WRLCK, 2, 4));
    show(fd, F_GETLK, F_WRLCK, 0, 0, self);
    IN_CHILD(
        show(fd, F_GETLK, F_WRLCK, 0, 0, self);
        show(fd, F_GETLK, F_RDLCK, 5, 1, self);
        show(fd, F_GETLK, F_RDLCK, 6, 1, self);
        show(fd, F_GETLK, F_RDLCK, 0, 2, self);
        CALL(set(fd, F_SETLK, F_RDLCK, 5, 1));
        CALL(set(fd, F_SETLK, F_WRLCK, 6, 0));
        CALL(set(fd, F_SETLK, F_UNLCK, 2, 4));
        CALL(set(fd, F_SETLK, F_RDLCK, 2, 4)));
    /* Unlocking a middle part leaves two. */
    CALL(set(fd, F_SETLK, F_UNLCK, 3, 1));
    IN_CHILD(
        show(fd, F_GETLK, F_RDLCK, 0, 0, self);
        show(fd, F_GETLK, F_RDLCK, 3, 0, self);
        CALL(set(fd, F_SETLK, F_WRLCK, 3, 1)));
    CALL(set(fd, F_SETLK, F_RDLCK, 0, 0));
    IN_CHILD(
        show(fd, F_GETLK, F_WRLCK, 4, 1, self);
        show(fd, F_GETLK, F_RDLCK, 4, 1, self);
        CALL(set(fd, F_SETLK, F_RDLCK, 0, 0));
        CALL(set(fd, F_SETLK, F_WRLCK, 0, 1)));
    /* Closing any descriptor of the file gives all locks back. */
    int other = open("file", O_RDONLY);
    close(other);
    IN_CHILD(show(fd, F_GETLK, F_WRLCK, 0, 0, self));
    CALL(set(fd, F_SETLK, F_WRLCK, -1, 1));
    CALL(set(fd, F_SETLK, 77, 0, 1));
    CALL(set(fd, F_SETLK, F_WRLCK, 10, -3));
    IN_CHILD(show(fd, F_GETLK, F_WRLCK, 0, 0, self));
    int readable = open("file", O_RDONLY);
    CALL(set(readable, F_SETLK, F_WRLCK, 0, 1));
    int writable = open("file", O_WRONLY);
    CALL(set(writable, F_SETLK, F_RDLCK, 0, 1));
    CALL(set(99, F_SETLK, F_RDLCK, 0, 1));
    CALL(fcntl(fd, F_SETLK, 8));
    close(readable);
    close(writable);
    close(fd);
}

static void waiting(void)
{
    int fd = open("file", O_RDWR);
    struct event ready = event_new();
    pid_t pid = CHILD(
        set(fd, F_SETLK, F_WRLCK, 0, 1);
        event_set(ready);
        sleep_ms(100));
    event_wait(ready);
    CALL(set(fd, F_SETLKW, F_WRLCK, 0, 0));
    TEXT(reap(pid));
    /* A waiting one gets it by the unlocking, and again by the killing, of the owner. */
    pid = CHILD(
        event_set(ready);
        _exit(set(fd, F_SETLKW, F_RDLCK, 0, 1) == 0 ? 20 : 21));
    event_wait(ready);
    TRUTH(reaches_state(pid, 'S'));
    CALL(set(fd, F_SETLK, F_UNLCK, 0, 0));
    TEXT(reap(pid));
    pid = CHILD(
        set(fd, F_SETLK, F_WRLCK, 0, 1);
        event_set(ready);
        for (;;) pause());
    event_wait(ready);
    kill(pid, SIGKILL);
    CALL(set(fd, F_SETLKW, F_WRLCK, 0, 0));
    TEXT(reap(pid));
    /* A signal interrupts the waiting. */
    pid_t parent = getpid();
    struct event go = event_new();
    CALL(set(fd, F_SETLK, F_UNLCK, 0, 0));
    pid = CHILD(
        set(fd, F_SETLK, F_WRLCK, 0, 1);
        event_set(ready);
        reaches_state(parent, 'S');
        kill(parent, SIGUSR1);
        event_wait(go));
    event_wait(ready);
    CALL(set(fd, F_SETLKW, F_WRLCK, 0, 0));
    event_set(go);
    TEXT(reap(pid));
    NUMBER(got);
    close(fd);
}

static void deadlock(void)
{
    int fd = open("file", O_RDWR);
    struct event ready = event_new();
    CALL(set(fd, F_SETLK, F_WRLCK, 0, 1));
    pid_t pid = CHILD(
        CALL(set(fd, F_SETLK, F_WRLCK, 1, 1));
        event_set(ready);
        _exit(set(fd, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 22 : 23));
    event_wait(ready);
    TRUTH(reaches_state(pid, 'S'));
    CALL(set(fd, F_SETLKW, F_WRLCK, 1, 1));
    CALL(set(fd, F_SETLK, F_UNLCK, 0, 1));
    TEXT(reap(pid));
    close(fd);
}

static void descriptions(void)
{
    int one = open("file", O_RDWR);
    int two = open("file", O_RDWR);
    CALL(set(one, F_OFD_SETLK, F_WRLCK, 0, 5));
    CALL(set(two, F_OFD_SETLK, F_WRLCK, 4, 5));
    CALL(set(two, F_OFD_SETLK, F_WRLCK, 5, 5));
    show(two, F_OFD_GETLK, F_WRLCK, 0, 0, 0);
    show(two, F_GETLK, F_WRLCK, 0, 0, 0);
    CALL(set(two, F_SETLK, F_WRLCK, 0, 1));
    IN_CHILD(
        CALL(set(one, F_OFD_SETLK, F_RDLCK, 0, 2));
        CALL(set(two, F_OFD_SETLK, F_RDLCK, 0, 2)));
    int copy = dup(one);
    close(one);
    IN_CHILD(show(two, F_OFD_GETLK, F_WRLCK, 2, 2, 0));
    close(copy);
    show(two, F_OFD_GETLK, F_WRLCK, 2, 2, 0);
    struct flock lock = range(F_WRLCK, 0, 1);
    lock.l_pid = 1;
    CALL(fcntl(two, F_OFD_SETLK, &lock));
    close(two);
}

static void whole_files(void)
{
    int one = open("file", O_RDWR);
    int two = open("file", O_RDONLY);
    CALL(flock(one, LOCK_EX));
    CALL(flock(two, LOCK_EX | LOCK_NB));
    CALL(flock(two, LOCK_SH | LOCK_NB));
    CALL(flock(one, LOCK_SH));
    CALL(flock(two, LOCK_SH | LOCK_NB));
    CALL(flock(two, LOCK_EX | LOCK_NB));
    CALL(flock(one, LOCK_UN));
    /* The attempt above gave the shared lock back, or kept it: it can be had either way. */
    CALL(flock(two, LOCK_EX | LOCK_NB));
    /* A child shares it, and its unlocking unlocks; its exit does not. */
    IN_CHILD(CALL(flock(two, LOCK_EX | LOCK_NB)));
    CALL(flock(one, LOCK_EX | LOCK_NB));
    IN_CHILD(CALL(flock(two, LOCK_UN)));
    CALL(flock(one, LOCK_EX | LOCK_NB));
    int copy = dup(one);
    close(one);
    CALL(flock(two, LOCK_SH | LOCK_NB));
    /* A waiting one is woken by the last close. */
    struct event ready = event_new();
    pid_t pid = CHILD(
        close(copy);
        int own = open("file", O_RDONLY);
        event_set(ready);
        CALL(flock(own, LOCK_EX)));
    event_wait(ready);
    TRUTH(reaches_state(pid, 'S'));
    close(copy);
    TEXT(reap(pid));
    CALL(flock(two, 0));
    CALL(flock(two, LOCK_EX | LOCK_SH));
    CALL(flock(99, LOCK_EX));
    /* Both kinds do not see each other. */
    CALL(flock(two, LOCK_EX));
    int third = open("file", O_RDWR);
    CALL(set(third, F_SETLK, F_WRLCK, 0, 0));
}

int main(void)
{
    struct sigaction action = { .sa_handler = count };
    sigaction(SIGUSR1, &action, NULL);
    enter_scratch();
    records();
    waiting();
    deadlock();
    descriptions();
    whole_files();
    return 0;
}
