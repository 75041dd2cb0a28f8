// Copy on write: parents, children and grandchildren each see their own memory, whoever
// writes first, in anonymous, file and shared mappings, and over 64 generations.
// build: glibc pie
// timeout: 120
#include "children.h"
#include <sys/mman.h>

enum { PAGES = 256, PAGE = 4096 };

static unsigned char *anonymous(int flags)
{
    unsigned char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
                                 MAP_ANONYMOUS | flags, -1, 0);
    if (memory == MAP_FAILED) {
        printf("mmap fails: %s\n", errno_name(errno));
        exit(1);
    }
    return memory;
}

static void fill(unsigned char *memory, unsigned char value)
{
    for (int i = 0; i < PAGES; i++)
        memory[i * PAGE] = memory[i * PAGE + PAGE - 1] = value + i;
}

static int holds(const unsigned char *memory, unsigned char value)
{
    for (int i = 0; i < PAGES; i++)
        if (memory[i * PAGE] != (unsigned char)(value + i)
            || memory[i * PAGE + PAGE - 1] != (unsigned char)(value + i))
            return 0;
    return 1;
}

static void private_memory(void)
{
    unsigned char *memory = anonymous(MAP_PRIVATE);
    struct event wrote = event_new();
    struct event done = event_new();
    fill(memory, 1);
    pid_t pid = CHILD(
        fill(memory, 2);
        event_set(wrote);
        event_wait(done);
        TRUTH(holds(memory, 2)));
    event_wait(wrote);
    TRUTH(holds(memory, 1));
    fill(memory, 3);
    event_set(done);
    TEXT(reap(pid));
    TRUTH(holds(memory, 3));
    pid = CHILD(
        event_wait(wrote);
        TRUTH(holds(memory, 3));
        fill(memory, 5);
        IN_CHILD(
            TRUTH(holds(memory, 5));
            fill(memory, 6);
            TRUTH(holds(memory, 6)));
        TRUTH(holds(memory, 5)));
    fill(memory, 4);
    event_set(wrote);
    TEXT(reap(pid));
    TRUTH(holds(memory, 4));
    /* Pages that were never touched are zeros for both. */
    unsigned char *fresh = anonymous(MAP_PRIVATE);
    IN_CHILD(NUMBER(fresh[PAGE]); fresh[PAGE] = 1; NUMBER(fresh[PAGE]));
    NUMBER(fresh[PAGE]);
    /* After the child is gone the only owner writes again, and gives memory back. */
    IN_CHILD(TRUTH(holds(memory, 4)));
    fill(memory, 7);
    TRUTH(holds(memory, 7));
    IN_CHILD(munmap(memory, PAGES * PAGE));
    TRUTH(holds(memory, 7));
    IN_CHILD(madvise(memory, PAGES * PAGE, MADV_DONTNEED); NUMBER(memory[0]));
    TRUTH(holds(memory, 7));
    IN_CHILD(
        mprotect(memory, PAGES * PAGE, PROT_READ);
        memory[0] = 1);
    memory[0] = 7;
    TRUTH(holds(memory, 7));
    /* A system call writes to a page that both still share. */
    int ends[2];
    pipe(ends);
    pid = CHILD(
        write(ends[1], "xyz", 3);
        CALL(read(ends[0], memory + PAGE - 1, 3));
        printf("%c%c%c\n", memory[PAGE - 1], memory[PAGE], memory[PAGE + 1]));
    TEXT(reap(pid));
    TRUTH(holds(memory, 7));
}

static void shared_memory(void)
{
    unsigned char *memory = anonymous(MAP_SHARED);
    fill(memory, 1);
    IN_CHILD(
        TRUTH(holds(memory, 1));
        IN_CHILD(fill(memory, 2));
        TRUTH(holds(memory, 2)));
    TRUTH(holds(memory, 2));
    /* Also where nobody had touched it before. */
    unsigned char *fresh = anonymous(MAP_SHARED);
    IN_CHILD(fill(fresh, 9));
    TRUTH(holds(fresh, 9));
    IN_CHILD(munmap(fresh, PAGES * PAGE); fresh = NULL);
    TRUTH(holds(fresh, 9));
}

static void files(void)
{
    enter_scratch();
    put("file", "content of a file");
    int fd = open("file", O_RDWR);
    ftruncate(fd, PAGE * 4);
    char *own = mmap(NULL, PAGE * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char *shared = mmap(NULL, PAGE * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    IN_CHILD(
        own[0] = 'C';
        shared[11] = 'A';
        TEXT(own);
        TEXT(shared));
    TEXT(own);
    TEXT(shared);
    TEXT(get("file"));
    own[1] = 'O';
    IN_CHILD(
        own[2] = 'N';
        shared[0] = 'k';
        TEXT(own));
    TEXT(own);
    TEXT(get("file"));
}

/* Each generation writes its own page and forks the next: all former ones must be there. */
static int generations(unsigned char *memory, int depth)
{
    memory[depth * PAGE] = depth + 1;
    memory[PAGES * PAGE - 1] = depth;
    if (depth == 63) {
        int right = 0;
        for (int i = 0; i < 64; i++)
            right += memory[i * PAGE] == i + 1;
        return right;
    }
    pid_t pid = fork();
    if (pid == 0)
        _exit(generations(memory, depth + 1));
    if (pid < 0)
        return 200;
    int status;
    waitpid(pid, &status, 0);
    int right = WIFEXITED(status) ? WEXITSTATUS(status) : 201;
    for (int i = depth + 1; i < 64; i++)
        if (memory[i * PAGE] != 0)
            right = 202;
    return memory[PAGES * PAGE - 1] == depth ? right : 203;
}

static unsigned long next(unsigned long *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Eight children write to random places at the same time and check a model. */
static void at_random(void)
{
    unsigned char *memory = anonymous(MAP_PRIVATE);
    unsigned char *model = malloc(PAGES);
    pid_t pids[8];
    fill(memory, 0);
    for (int i = 0; i < PAGES; i++)
        model[i] = i;
    for (int child = 0; child < 8; child++) {
        pids[child] = CHILD(
            unsigned long state = 88172645463325252 + child;
            int wrong = 0;
            for (int i = 0; i < 20000; i++) {
                int page = next(&state) % PAGES;
                wrong += memory[page * PAGE] != model[page];
                model[page] = memory[page * PAGE] = next(&state);
            }
            _exit(wrong != 0));
        int page = child * 31;
        model[page] = memory[page * PAGE] = child + 100;
    }
    for (int child = 0; child < 8; child++)
        TEXT(reap(pids[child]));
    int wrong = 0;
    for (int i = 0; i < PAGES; i++)
        wrong += memory[i * PAGE] != model[i];
    NUMBER(wrong);
}

int main(void)
{
    private_memory();
    shared_memory();
    files();
    NUMBER(generations(anonymous(MAP_PRIVATE), 0));
    at_random();
    return 0;
}
