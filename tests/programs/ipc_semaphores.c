// Semaphores of System V: values, waiting in order, SEM_UNDO, removal, signals, permissions.
// build: glibc musl
#include "children.h"
#include <sys/ipc.h>
#include <sys/sem.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };

static volatile int got;

static void count(int number)
{
    (void)number;
    got++;
}

static int operate(int set, int number, int change, int flags)
{
    struct sembuf one = { .sem_num = number, .sem_op = change, .sem_flg = flags };
    return semop(set, &one, 1);
}

static int value(int set, int number)
{
    return semctl(set, number, GETVAL);
}

static void values(void)
{
    int set = semget(IPC_PRIVATE, 3, 0600);
    struct sembuf several[] = { { 0, 5, 0 }, { 1, 2, 0 }, { 0, -1, 0 } };
    CALL(semop(set, several, 3));
    NUMBER(value(set, 0));
    NUMBER(value(set, 1));
    TRUTH(semctl(set, 0, GETPID) == getpid());
    NUMBER(semctl(set, 2, GETPID));
    struct sembuf part[] = { { 0, -4, 0 }, { 1, -3, IPC_NOWAIT } };
    CALL(semop(set, part, 2));
    struct sembuf zero[] = { { 2, 1, 0 }, { 0, 0, IPC_NOWAIT } };
    CALL(semop(set, zero, 2));
    struct sembuf large[] = { { 2, 1, 0 }, { 1, 32767, 0 } };
    CALL(semop(set, large, 2));
    NUMBER(value(set, 0));
    NUMBER(value(set, 1));
    NUMBER(value(set, 2));
    CALL(operate(set, 3, 1, 0));
    CALL(semop(set, several, 0));
    CALL(semop(set, several, 501));
    CALL(semop(set, (struct sembuf *)8, 1));
    CALL(semop(-1, several, 1));
    CALL(semctl(set, 0, SETVAL, (union semun){ .val = 32767 }));
    CALL(semctl(set, 0, SETVAL, (union semun){ .val = 32768 }));
    CALL(semctl(set, 0, SETVAL, (union semun){ .val = -1 }));
    CALL(semctl(set, 3, SETVAL, (union semun){ .val = 1 }));
    CALL(semctl(set, -1, GETVAL));
    CALL(semctl(set, 0, SETALL, (union semun){ .array = (unsigned short[]){ 7, 8, 9 } }));
    CALL(semctl(set, 0, SETALL, (union semun){ .array = (unsigned short[]){ 7, 40000, 9 } }));
    unsigned short all[3];
    CALL(semctl(set, 99, GETALL, (union semun){ .array = all }));
    printf("%d %d %d\n", all[0], all[1], all[2]);
    CALL(semctl(set, 0, 12345));
    struct timespec soon = { 0, 20000000 };
    struct timespec wrong = { 0, 1000000000 };
    struct sembuf wait = { 0, 0, 0 };
    CALL(semtimedop(set, &wait, 1, &soon));
    CALL(semtimedop(set, &wait, 1, &wrong));
    CALL(semctl(set, 0, IPC_RMID));
    CALL(semctl(set, 0, GETVAL));
    CALL(operate(set, 0, 1, 0));
}

static void keys(void)
{
    key_t key = 0x42690000 + getpid() % 65536;
    int set = semget(key, 2, IPC_CREAT | IPC_EXCL | 0640);
    TRUTH(set >= 0);
    TRUTH(semget(key, 0, 0) == set);
    TRUTH(semget(key, 2, IPC_CREAT) == set);
    CALL(semget(key, 3, 0));
    CALL(semget(key, 2, IPC_CREAT | IPC_EXCL));
    CALL(semget(key + 1, 2, 0));
    CALL(semget(key + 1, 0, IPC_CREAT));
    CALL(semget(key + 1, -1, IPC_CREAT));
    CALL(semget(key + 1, 32001, IPC_CREAT));
    struct semid_ds status;
    CALL(semctl(set, 0, IPC_STAT, (union semun){ .buf = &status }));
    TRUTH(status.sem_perm.__key == key);
    printf("%o, %d semaphores, owner %d\n", status.sem_perm.mode, (int)status.sem_nsems,
           status.sem_perm.uid);
    TRUTH(status.sem_otime == 0);
    TRUTH(status.sem_ctime > 0);
    operate(set, 0, 1, 0);
    CALL(semctl(set, 0, IPC_STAT, (union semun){ .buf = &status }));
    TRUTH(status.sem_otime > 0);
    fflush(stdout);
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        CALL(semget(key, 0, 0400));
        CALL(value(set, 0));
        CALL(operate(set, 0, 1, 0));
        CALL(semctl(set, 0, IPC_RMID));
        CALL(semctl(set, 0, IPC_STAT, (union semun){ .buf = &status })));
    status.sem_perm.mode = 0604;
    status.sem_perm.uid = 77;
    CALL(semctl(set, 0, IPC_SET, (union semun){ .buf = &status }));
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        CALL(value(set, 0));
        CALL(operate(set, 0, 0, IPC_NOWAIT));
        CALL(operate(set, 0, 1, 0)));
    IN_CHILD(
        setgid(1000);
        setuid(77);
        CALL(operate(set, 0, 1, 0));
        CALL(semctl(set, 0, IPC_RMID)));
    CALL(semget(key, 0, 0));
    struct seminfo info;
    TRUTH(semctl(0, 0, IPC_INFO, (union semun){ .info = &info }) >= 0);
    printf("%d %d %d %d %d\n", info.semmsl, info.semmns, info.semopm, info.semmni, info.semvmx);
}

/* Waits until so many processes wait for a semaphore. */
static void wait_for(int set, int command, int many)
{
    for (int i = 0; i < 1000 && semctl(set, 0, command) != many; i++)
        sleep_ms(10);
}

static void waiting(void)
{
    int set = semget(IPC_PRIVATE, 1, 0600);
    struct event served = event_new();
    pid_t one = CHILD(_exit(operate(set, 0, -1, 0) == 0 ? 11 : 12));
    wait_for(set, GETNCNT, 1);
    pid_t two = CHILD(_exit(operate(set, 0, -2, 0) == 0 ? 21 : 22));
    wait_for(set, GETNCNT, 2);
    NUMBER(semctl(set, 0, GETNCNT));
    NUMBER(semctl(set, 0, GETZCNT));
    /* What is given belongs to who waits for it, not to who asks next. */
    CALL(operate(set, 0, 1, 0));
    CALL(operate(set, 0, -1, IPC_NOWAIT));
    TEXT(reap(one));
    CALL(operate(set, 0, 3, 0));
    TEXT(reap(two));
    NUMBER(value(set, 0));
    one = CHILD(_exit(operate(set, 0, 0, 0) == 0 ? 31 : 32));
    wait_for(set, GETZCNT, 1);
    NUMBER(semctl(set, 0, GETZCNT));
    CALL(operate(set, 0, -1, 0));
    TEXT(reap(one));
    /* A signal interrupts the waiting, also with SA_RESTART. */
    one = CHILD(
        struct sigaction action = { .sa_handler = count, .sa_flags = SA_RESTART };
        sigaction(SIGUSR1, &action, NULL);
        CALL(operate(set, 0, -1, 0));
        NUMBER(got));
    wait_for(set, GETNCNT, 1);
    kill(one, SIGUSR1);
    TEXT(reap(one));
    NUMBER(semctl(set, 0, GETNCNT));
    /* So does a removal. */
    one = CHILD(event_set(served); _exit(operate(set, 0, -1, 0) == -1 && errno == EIDRM ? 41 : 42));
    event_wait(served);
    wait_for(set, GETNCNT, 1);
    CALL(semctl(set, 0, IPC_RMID));
    TEXT(reap(one));
}

static void undone(void)
{
    int set = semget(IPC_PRIVATE, 3, 0600);
    operate(set, 0, 3, 0);
    IN_CHILD(
        operate(set, 0, -2, SEM_UNDO);
        operate(set, 1, 5, SEM_UNDO);
        operate(set, 1, -1, 0);
        NUMBER(value(set, 0));
        NUMBER(value(set, 1)));
    NUMBER(value(set, 0));
    NUMBER(value(set, 1));
    /* A kill undoes as well, and serves who waits. */
    pid_t holder = CHILD(operate(set, 0, -3, SEM_UNDO); for (;;) pause());
    while (value(set, 0) != 0)
        sleep_ms(1);
    pid_t waiter = CHILD(_exit(operate(set, 0, -3, 0) == 0 ? 41 : 42));
    wait_for(set, GETNCNT, 1);
    kill(holder, SIGKILL);
    TEXT(reap(holder));
    TEXT(reap(waiter));
    NUMBER(value(set, 0));
    /* Setting a value forgets what was to be undone. */
    IN_CHILD(
        operate(set, 2, 4, SEM_UNDO);
        semctl(set, 2, SETVAL, (union semun){ .val = 9 }));
    NUMBER(value(set, 2));
    IN_CHILD(CALL(operate(set, 2, -10, IPC_NOWAIT | SEM_UNDO)));
    NUMBER(value(set, 2));
    semctl(set, 0, IPC_RMID);
}

/* A lock that several processes take in turn. */
static void lock(void)
{
    int set = semget(IPC_PRIVATE, 2, 0600);
    operate(set, 0, 1, 0);
    pid_t pids[4];
    for (int i = 0; i < 4; i++)
        pids[i] = CHILD(
            for (int j = 0; j < 50; j++) {
                operate(set, 0, -1, SEM_UNDO);
                int seen = value(set, 1);
                semctl(set, 1, SETVAL, (union semun){ .val = seen + 1 });
                operate(set, 0, 1, SEM_UNDO);
            });
    for (int i = 0; i < 4; i++)
        TEXT(reap(pids[i]));
    NUMBER(value(set, 0));
    NUMBER(value(set, 1));
    semctl(set, 0, IPC_RMID);
}

int main(void)
{
    values();
    keys();
    waiting();
    undone();
    lock();
    return 0;
}
