// Messages of System V: types, sizes, waiting for a message and for room, removal, signals.
// build: glibc musl
#include "children.h"
#include <sys/ipc.h>
#include <sys/msg.h>

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif
#ifndef MSG_EXCEPT
#define MSG_EXCEPT 020000
#endif

static volatile int got;

static void count(int number)
{
    (void)number;
    got++;
}

struct message { long type; char text[9000]; };

static int put_message(int queue, long type, const char *text, int flags)
{
    struct message message = { .type = type };
    strcpy(message.text, text);
    return msgsnd(queue, &message, strlen(text), flags);
}

static int put_bytes(int queue, size_t length, int flags)
{
    static struct message message = { .type = 1 };
    return msgsnd(queue, &message, length, flags);
}

static const char *take(int queue, size_t length, long type, int flags)
{
    static struct message message;
    static char shown[128];
    memset(&message, 0, 100);
    ssize_t result = msgrcv(queue, &message, length, type, flags | IPC_NOWAIT);
    if (result < 0)
        return errno == ENOMSG ? "ENOMSG" : errno_name(errno);
    snprintf(shown, sizeof shown, "%ld bytes of type %ld: %.40s", (long)result, message.type,
             message.text);
    return shown;
}

static void types(void)
{
    int queue = msgget(IPC_PRIVATE, 0600);
    put_message(queue, 5, "five", 0);
    put_message(queue, 3, "three", 0);
    put_message(queue, 4, "four", 0);
    put_message(queue, 3, "three again", 0);
    put_message(queue, 9, "nine", 0);
    TEXT(take(queue, 100, 1, MSG_COPY));
    TEXT(take(queue, 100, 7, MSG_COPY));
    TEXT(take(queue, 100, 3, 0));
    TEXT(take(queue, 100, -4, 0));
    TEXT(take(queue, 100, -3, 0));
    TEXT(take(queue, 100, 5, MSG_EXCEPT));
    TEXT(take(queue, 2, 9, 0));
    TEXT(take(queue, 2, 9, MSG_NOERROR));
    TEXT(take(queue, 100, 9, 0));
    TEXT(take(queue, 100, 0, 0));
    TEXT(take(queue, 100, 0, 0));
    struct message message;
    CALL(msgrcv(queue, &message, -1, 0, IPC_NOWAIT));
    CALL(msgrcv(queue, &message, 10, 0, MSG_COPY));
    CALL(msgrcv(-1, &message, 10, 0, IPC_NOWAIT));
    CALL(put_message(queue, 0, "x", 0));
    CALL(put_message(queue, -1, "x", 0));
    CALL(put_message(queue, 1, "", 0));
    TEXT(take(queue, 100, 0, 0));
    CALL(msgsnd(queue, (void *)8, 1, 0));
    CALL(put_bytes(queue, 8193, 0));
    CALL(put_bytes(queue, 8192, 0));
    CALL(msgrcv(queue, (void *)8, 9000, 0, IPC_NOWAIT));
    CALL(msgctl(queue, IPC_RMID, NULL));
    CALL(put_bytes(queue, 1, 0));
    TEXT(take(queue, 100, 0, 0));
}

static void keys(void)
{
    key_t key = 0x42690000 + getpid() % 65536;
    int queue = msgget(key, IPC_CREAT | IPC_EXCL | 0620);
    TRUTH(queue >= 0);
    TRUTH(msgget(key, 0) == queue);
    CALL(msgget(key, IPC_CREAT | IPC_EXCL));
    CALL(msgget(key + 1, 0));
    struct msqid_ds status;
    CALL(msgctl(queue, IPC_STAT, &status));
    printf("%o, %lu messages, %lu of %lu bytes, %d %d\n", status.msg_perm.mode,
           (long)status.msg_qnum, (long)status.__msg_cbytes, (long)status.msg_qbytes,
           status.msg_lspid, status.msg_lrpid);
    TRUTH(status.msg_stime == 0 && status.msg_rtime == 0 && status.msg_ctime > 0);
    put_message(queue, 1, "abc", 0);
    put_message(queue, 1, "defgh", 0);
    take(queue, 100, 0, 0);
    CALL(msgctl(queue, IPC_STAT, &status));
    NUMBER(status.msg_qnum);
    NUMBER(status.__msg_cbytes);
    TRUTH(status.msg_lspid == getpid() && status.msg_lrpid == getpid());
    TRUTH(status.msg_stime > 0 && status.msg_rtime > 0);
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        CALL(msgget(key, 0400));
        TEXT(take(queue, 10, 0, 0));
        CALL(put_message(queue, 1, "x", 0));
        CALL(msgctl(queue, IPC_RMID, NULL)));
    status.msg_perm.uid = 77;
    status.msg_qbytes = 10000;
    CALL(msgctl(queue, IPC_SET, &status));
    IN_CHILD(
        setgid(1000);
        setuid(77);
        status.msg_qbytes = 40000;
        CALL(msgctl(queue, IPC_SET, &status));
        status.msg_qbytes = 100;
        CALL(msgctl(queue, IPC_SET, &status));
        CALL(put_bytes(queue, 95, IPC_NOWAIT));
        CALL(put_bytes(queue, 96, IPC_NOWAIT));
        CALL(msgctl(queue, IPC_RMID, NULL)));
    CALL(msgget(key, 0));
    CALL(msgctl(queue, 12345, NULL));
    CALL(msgctl(-1, IPC_STAT, &status));
    struct msginfo info;
    TRUTH(msgctl(0, IPC_INFO, (struct msqid_ds *)&info) >= 0);
    printf("%d %d\n", info.msgmax, info.msgmnb);
}

static void waiting(void)
{
    int queue = msgget(IPC_PRIVATE, 0600);
    struct message message;
    pid_t one = CHILD(_exit(msgrcv(queue, &message, 100, 1, 0)));
    TRUTH(reaches_state(one, 'S'));
    pid_t two = CHILD(_exit(msgrcv(queue, &message, 100, 2, 0)));
    TRUTH(reaches_state(two, 'S'));
    pid_t three = CHILD(CALL(msgrcv(queue, &message, 2, 3, 0)));
    TRUTH(reaches_state(three, 'S'));
    /* Each gets its own, at once. */
    put_message(queue, 2, "twotwotwo", 0);
    put_message(queue, 1, "one", 0);
    TEXT(take(queue, 100, 0, 0));
    TEXT(reap(one));
    TEXT(reap(two));
    put_message(queue, 3, "too long", 0);
    TEXT(reap(three));
    TEXT(take(queue, 100, 0, 0));
    /* Who sends waits for room. */
    int sent = 0;
    while (put_bytes(queue, 1000, IPC_NOWAIT) == 0)
        sent++;
    TEXT(errno_name(errno));
    NUMBER(sent);
    one = CHILD(_exit(put_bytes(queue, 1000, 0) == 0 ? 51 : 52));
    TRUTH(reaches_state(one, 'S'));
    take(queue, 1000, 0, 0);
    TEXT(reap(one));
    /* Signals interrupt both, also with SA_RESTART. */
    struct sigaction action = { .sa_handler = count, .sa_flags = SA_RESTART };
    sigaction(SIGUSR1, &action, NULL);
    one = CHILD(CALL(put_bytes(queue, 1000, 0)); NUMBER(got));
    TRUTH(reaches_state(one, 'S'));
    kill(one, SIGUSR1);
    TEXT(reap(one));
    two = CHILD(CALL(msgrcv(queue, &message, 100, 99, 0)); NUMBER(got));
    TRUTH(reaches_state(two, 'S'));
    kill(two, SIGUSR1);
    TEXT(reap(two));
    /* So does a removal. */
    one = CHILD(_exit(put_bytes(queue, 1000, 0) == 0 ? 61 : errno == EIDRM ? 62 : 63));
    TRUTH(reaches_state(one, 'S'));
    two = CHILD(_exit(msgrcv(queue, &message, 100, 99, 0) >= 0 ? 64 : errno == EIDRM ? 65 : 66));
    TRUTH(reaches_state(two, 'S'));
    CALL(msgctl(queue, IPC_RMID, NULL));
    TEXT(reap(one));
    TEXT(reap(two));
}

int main(void)
{
    types();
    keys();
    waiting();
    return 0;
}
