// Message queues of POSIX: order, sizes, waiting, notification, descriptors, names.
// build: glibc musl
#include "children.h"
#include <mqueue.h>
#include <poll.h>
#include <time.h>

static char name[64];
static volatile int got, value, code;

static void note(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    got++;
    value = info->si_value.sival_int;
    code = info->si_code;
}

static mqd_t open_queue(int flags, long most, long longest)
{
    struct mq_attr size = { .mq_maxmsg = most, .mq_msgsize = longest };
    return mq_open(name, flags, 0600, &size);
}

static const char *take(mqd_t queue)
{
    static char shown[128];
    char text[64] = "";
    unsigned priority = 99;
    ssize_t length = mq_receive(queue, text, sizeof text - 1, &priority);
    if (length < 0)
        return errno == EMSGSIZE ? "EMSGSIZE" : errno_name(errno);
    snprintf(shown, sizeof shown, "%ld bytes of priority %u: %.60s", (long)length, priority, text);
    return shown;
}

static void order(void)
{
    mqd_t queue = open_queue(O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 4, 32);
    TRUTH(queue != (mqd_t)-1);
    CALL(mq_send(queue, "one", 3, 1));
    CALL(mq_send(queue, "five", 4, 5));
    CALL(mq_send(queue, "one again", 9, 1));
    CALL(mq_send(queue, "", 0, 0));
    CALL(mq_send(queue, "full", 4, 0));
    struct mq_attr attributes;
    CALL(mq_getattr(queue, &attributes));
    printf("%s, %ld of %ld, %ld bytes\n", attributes.mq_flags == O_NONBLOCK ? "nonblocking" : "-",
           attributes.mq_curmsgs, attributes.mq_maxmsg, attributes.mq_msgsize);
    struct pollfd ready = { .fd = queue, .events = POLLIN | POLLOUT };
    CALL(poll(&ready, 1, 0));
    HEX(ready.revents);
    TEXT(take(queue));
    TEXT(take(queue));
    CALL(poll(&ready, 1, 0));
    HEX(ready.revents);
    char text[200] = "";
    CALL(pread(queue, text, sizeof text, 0));
    TEXT(text);
    TEXT(take(queue));
    TEXT(take(queue));
    TEXT(take(queue));
    CALL(poll(&ready, 1, 0));
    HEX(ready.revents);
    CALL(mq_receive(queue, text, 31, NULL));
    NUMBER(errno == EMSGSIZE);
    CALL(mq_send(queue, text, 33, 0));
    CALL(mq_send(queue, text, 1, 32768));
    CALL(mq_send(queue, text, 1, 32767));
    CALL(mq_send(queue, (char *)8, 1, 0));
    CALL(write(queue, "x", 1));
    struct stat st;
    CALL(fstat(queue, &st));
    printf("%o, %ld bytes\n", st.st_mode, (long)st.st_size);
    CALL(fcntl(queue, F_GETFD));
    attributes.mq_flags = 0;
    CALL(mq_setattr(queue, &attributes, NULL));
    CALL(mq_getattr(queue, &attributes));
    NUMBER(attributes.mq_flags);
    attributes.mq_flags = 77;
    CALL(mq_setattr(queue, &attributes, NULL));
    struct timespec past = { 1, 0 };
    struct timespec wrong = { 1, -1 };
    take(queue);
    CALL(mq_timedreceive(queue, text, 200, NULL, &past));
    CALL(mq_timedreceive(queue, text, 200, NULL, &wrong));
    CALL(mq_close(queue));
    CALL(mq_getattr(queue, &attributes));
}

static void names(void)
{
    mqd_t reader = mq_open(name, O_RDONLY | O_NONBLOCK);
    mqd_t writer = mq_open(name, O_WRONLY | O_NONBLOCK);
    CALL(mq_send(reader, "x", 1, 0));
    CALL(mq_send(writer, "x", 1, 0));
    TEXT(take(writer));
    TEXT(take(reader));
    TRUTH(open_queue(O_CREAT | O_RDWR, 0, 0) != (mqd_t)-1);
    OK(open_queue(O_CREAT | O_EXCL | O_RDWR, 1, 1));
    OK(mq_open(name, O_RDWR | O_WRONLY));
    OK(mq_open("/none-of-them", O_RDWR));
    OK(mq_open("/a/b", O_CREAT | O_RDWR, 0600, NULL));
    OK(mq_open("/", O_CREAT | O_RDWR, 0600, NULL));
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        OK(mq_open(name, O_RDONLY));
        CALL(mq_unlink(name)));
    CALL(mq_unlink("/none-of-them"));
    CALL(mq_unlink(name));
    CALL(mq_unlink(name));
    OK(mq_open(name, O_RDWR));
    CALL(mq_send(writer, "still there", 11, 0));
    TEXT(take(reader));
    mq_close(reader);
    mq_close(writer);
    OK(open_queue(O_CREAT | O_RDWR, 0, 10));
    OK(open_queue(O_CREAT | O_RDWR, 10, 0));
    OK(open_queue(O_CREAT | O_RDWR, -1, 10));
}

static void waiting(void)
{
    mqd_t queue = open_queue(O_CREAT | O_RDWR, 2, 32);
    char text[32];
    pid_t pid = CHILD(TEXT(take(queue)));
    TRUTH(reaches_state(pid, 'S'));
    TRUTH(mq_send(queue, "for the child", 13, 3) == 0 && strcmp(reap(pid), "exit 0") == 0);
    mq_send(queue, "1", 1, 0);
    mq_send(queue, "2", 1, 0);
    pid = CHILD(CALL(mq_send(queue, "3", 1, 1)));
    TRUTH(reaches_state(pid, 'S'));
    TRUTH(mq_receive(queue, text, sizeof text, NULL) == 1 && strcmp(reap(pid), "exit 0") == 0);
    TEXT(take(queue));
    TEXT(take(queue));
    /* A signal interrupts the waiting; with SA_RESTART it goes on. */
    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        pid = CHILD(
            struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | flags };
            sigaction(SIGUSR1, &action, NULL);
            TEXT(take(queue));
            NUMBER(got));
        TRUTH(reaches_state(pid, 'S'));
        kill(pid, SIGUSR1);
        if (flags) {
            sleep_ms(50);
            mq_send(queue, "after all", 9, 0);
        }
        TEXT(reap(pid));
    }
    mq_unlink(name);
    mq_close(queue);
}

static void notified(void)
{
    mqd_t queue = open_queue(O_CREAT | O_RDWR, 3, 32);
    struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
    sigaction(SIGUSR1, &action, NULL);
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1,
                              .sigev_value.sival_int = 55 };
    CALL(mq_notify(queue, &event));
    CALL(mq_notify(queue, &event));
    IN_CHILD(CALL(mq_notify(queue, &event)));
    IN_CHILD(mq_send(queue, "x", 1, 0));
    NUMBER(got);
    NUMBER(value);
    TRUTH(code == SI_MESGQ);
    /* Once, and only for an empty queue. */
    CALL(mq_notify(queue, &event));
    mq_send(queue, "y", 1, 0);
    NUMBER(got);
    take(queue);
    take(queue);
    mq_send(queue, "z", 1, 0);
    NUMBER(got);
    take(queue);
    /* Not when somebody waits for the message. */
    CALL(mq_notify(queue, &event));
    pid_t pid = CHILD(TEXT(take(queue)));
    TRUTH(reaches_state(pid, 'S'));
    mq_send(queue, "to who waits", 12, 0);
    TEXT(reap(pid));
    NUMBER(got);
    CALL(mq_notify(queue, NULL));
    mq_send(queue, "nobody", 6, 0);
    NUMBER(got);
    event.sigev_signo = 65;
    CALL(mq_notify(queue, &event));
    event.sigev_notify = 77;
    CALL(mq_notify(queue, &event));
    event = (struct sigevent){ .sigev_notify = SIGEV_NONE };
    CALL(mq_notify(queue, &event));
    CALL(mq_notify(0, &event));
    mq_unlink(name);
    mq_close(queue);
}

int main(void)
{
    snprintf(name, sizeof name, "/birgus-%d", getpid());
    order();
    names();
    waiting();
    notified();
    return 0;
}
