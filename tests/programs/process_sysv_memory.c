// System V shared memory: shmget, shmat, shmdt, shmctl, over fork, exit and removal.
// build: glibc musl
#include "children.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

enum { PAGE = 4096 };

static void keys(void)
{
    key_t key = 0x42690000 + getpid() % 10000;
    CALL(shmget(key, PAGE, 0));
    int id = shmget(key, PAGE, IPC_CREAT | IPC_EXCL | 0640);
    TRUTH(id >= 0);
    TRUTH(shmget(key, PAGE, IPC_CREAT) == id);
    TRUTH(shmget(key, 0, 0) == id);
    TRUTH(shmget(key, 100, 0) == id);
    CALL(shmget(key, PAGE, IPC_CREAT | IPC_EXCL));
    CALL(shmget(key, 2 * PAGE, 0));
    CALL(shmget(IPC_PRIVATE, 0, 0600));
    struct shmid_ds ds;
    CALL(shmctl(id, IPC_STAT, &ds));
    NUMBER(ds.shm_segsz);
    NUMBER(ds.shm_nattch);
    NUMBER(ds.shm_perm.mode);
    TRUTH(ds.shm_perm.uid == getuid() && ds.shm_perm.cgid == getgid());
    TRUTH(ds.shm_cpid == getpid());
    NUMBER(ds.shm_lpid);
    NUMBER(ds.shm_atime);
    TRUTH(ds.shm_ctime > 1000000000);
    ds.shm_perm.mode = 0600;
    CALL(shmctl(id, IPC_SET, &ds));
    CALL(shmctl(id, IPC_STAT, &ds));
    NUMBER(ds.shm_perm.mode);
    CALL(shmctl(id, 77, NULL));
    CALL(shmctl(id, IPC_STAT, (struct shmid_ds *)8));
    IN_CHILD(
        setgid(1000);
        setuid(1000);
        OK(shmat(id, NULL, 0));
        CALL(shmctl(id, IPC_STAT, &ds));
        CALL(shmctl(id, IPC_RMID, NULL)));
    CALL(shmctl(id, IPC_RMID, NULL));
    CALL(shmctl(id, IPC_RMID, NULL));
    CALL(shmget(key, PAGE, 0));
    OK(shmat(id, NULL, 0));
}

static void attached(void)
{
    struct shmid_ds ds;
    int id = shmget(IPC_PRIVATE, 2 * PAGE + 5, IPC_CREAT | 0600);
    char *memory = shmat(id, NULL, 0);
    TRUTH(memory != (void *)-1);
    NUMBER(memory[3 * PAGE - 1]);
    char *readable = shmat(id, NULL, SHM_RDONLY);
    strcpy(memory, "shared");
    TEXT(readable);
    IN_CHILD(readable[0] = 'x');
    IN_CHILD(
        CALL(shmctl(id, IPC_STAT, &ds));
        NUMBER(ds.shm_nattch);
        strcpy(memory + PAGE, "from the child");
        CALL(shmdt(readable));
        CALL(shmctl(id, IPC_STAT, &ds));
        NUMBER(ds.shm_nattch));
    TEXT(readable + PAGE);
    CALL(shmctl(id, IPC_STAT, &ds));
    NUMBER(ds.shm_nattch);
    TRUTH(ds.shm_lpid != getpid());
    TRUTH(ds.shm_dtime > 1000000000);
    CALL(shmdt(readable));
    CALL(shmdt(readable));
    CALL(shmdt(memory + PAGE));
    CALL(shmdt(memory + 1));
    OK(shmat(id, memory, 0));
    OK(shmat(id, memory + 4 * PAGE + 1, 0));
    TRUTH(shmat(id, memory, SHM_REMAP) == memory);
    TEXT(memory);
    /* At an address that was asked for. */
    char *area = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(area, 16 * PAGE);
    TRUTH(shmat(id, area, 0) == area);
    TEXT(area);
    CALL(shmdt(area));
    TRUTH(shmat(id, area + 5, SHM_RND) == area);
    CALL(shmdt(area));
    /* Removed, it lives until the last one leaves. */
    CALL(shmctl(id, IPC_RMID, NULL));
    CALL(shmctl(id, IPC_STAT, &ds));
    HEX(ds.shm_perm.mode);
    TEXT(memory);
    IN_CHILD(strcpy(memory, "still there"));
    TEXT(memory);
    CALL(shmdt(memory));
    CALL(shmctl(id, IPC_STAT, &ds));
}

int main(void)
{
    keys();
    attached();
    return 0;
}
