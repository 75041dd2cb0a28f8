// Core dumps: when there is one, what wait tells of it, and what is in the file.
// build: glibc musl
// timeout: 60
#include "children.h"
#include <elf.h>
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static char name[PATH_MAX];

static void limit(rlim_t bytes)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){ bytes, RLIM_INFINITY });
}

/* How a child ends that does this; and whether it left a file. */
#define ENDS(...) do { \
        unlink(name); \
        fflush(stdout); \
        pid_t child_ = fork(); \
        if (child_ == 0) { \
            __VA_ARGS__; \
            abort(); \
        } \
        siginfo_t info_ = { 0 }; \
        waitid(P_PID, child_, &info_, WEXITED | WNOWAIT); \
        int status_ = 0; \
        waitpid(child_, &status_, 0); \
        printf("%s: signal %d, core %d, code %d, file %d\n", #__VA_ARGS__, WTERMSIG(status_), \
               !!WCOREDUMP(status_), info_.si_code, access(name, F_OK) == 0); \
    } while (0)

static void when(void)
{
    ENDS(limit(RLIM_INFINITY));
    ENDS(limit(0));
    ENDS(limit(100));
    ENDS(limit(RLIM_INFINITY); prctl(PR_SET_DUMPABLE, 0));
    ENDS(limit(RLIM_INFINITY); raise(SIGTERM));
    ENDS(limit(RLIM_INFINITY); raise(SIGQUIT));
    ENDS(limit(RLIM_INFINITY); raise(SIGXCPU));
    ENDS(limit(RLIM_INFINITY); setuid(1234); NUMBER(prctl(PR_GET_DUMPABLE)); fflush(stdout));
    ENDS(limit(RLIM_INFINITY); mkdir(name, 0700));
    rmdir(name);
    ENDS(limit(RLIM_INFINITY); symlink("elsewhere", name));
    ENDS(limit(RLIM_INFINITY); *(volatile int *)8 = 1);
    /* A limit cuts the file. */
    ENDS(limit(8192));
    struct stat status;
    TRUTH(stat(name, &status) == 0 && status.st_size <= 8192);
    NUMBER(status.st_mode & 0777);
}

static unsigned char *core;
static size_t core_size;
static char *marked;
static char *skipped;
static volatile int threads;

static void load(void)
{
    int fd = open(name, O_RDONLY);
    struct stat status = { 0 };
    fstat(fd, &status);
    core_size = status.st_size;
    core = mmap(NULL, core_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
}

/* The byte at `address` as the file has it; -1 where it does not have it. */
static int byte_at(const volatile void *pointer)
{
    Elf64_Ehdr *header = (Elf64_Ehdr *)core;
    Elf64_Phdr *segments = (Elf64_Phdr *)(core + header->e_phoff);
    uintptr_t address = (uintptr_t)pointer;
    for (int i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr *one = &segments[i];
        if (one->p_type == PT_LOAD && address >= one->p_vaddr &&
            address < one->p_vaddr + one->p_filesz)
            return core[one->p_offset + (address - one->p_vaddr)];
    }
    return -1;
}

/* Which notes there are; in `*at` the content of the first of type `kind`. */
static int notes(unsigned kind, const char *owner, void **at, size_t *size)
{
    Elf64_Ehdr *header = (Elf64_Ehdr *)core;
    Elf64_Phdr *segment = (Elf64_Phdr *)(core + header->e_phoff);
    int count = 0;
    for (size_t offset = 0; offset < segment->p_filesz;) {
        Elf64_Nhdr *note = (Elf64_Nhdr *)(core + segment->p_offset + offset);
        char *text = (char *)(note + 1);
        char *content = text + ((note->n_namesz + 3) & ~3u);
        if (note->n_type == kind && strcmp(text, owner) == 0 && count++ == 0) {
            *at = content;
            *size = note->n_descsz;
        }
        offset = content + ((note->n_descsz + 3) & ~3u) - (char *)(core + segment->p_offset);
    }
    return count;
}

static void *waits(void *unused)
{
    (void)unused;
    __atomic_add_fetch(&threads, 1, __ATOMIC_SEQ_CST);
    for (;;)
        pause();
    return NULL;
}

static void crash(void)
{
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, waits, NULL);
    while (threads != 3)
        sched_yield();
    limit(RLIM_INFINITY);
    prctl(PR_SET_NAME, "crab");
    register uintptr_t r12 asm("r12") = 0x1122334455667788;
    asm volatile("xorl %%eax, %%eax; movl $7, (%%rax)" : : "r"(r12) : "rax", "memory");
}

static void content(void)
{
    marked = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    skipped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    marked[4096] = 42;
    skipped[0] = 43;
    madvise(skipped, 8192, MADV_DONTDUMP);
    unlink(name);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        crash();
    int status = 0;
    waitpid(child, &status, 0);
    NUMBER(WTERMSIG(status));
    TRUTH(WCOREDUMP(status));
    load();
    Elf64_Ehdr *header = (Elf64_Ehdr *)core;
    TRUTH(core_size > 4096 && memcmp(header->e_ident, ELFMAG, SELFMAG) == 0);
    NUMBER(header->e_type);
    NUMBER(header->e_machine);
    TRUTH(((Elf64_Phdr *)(core + header->e_phoff))->p_type == PT_NOTE);
    NUMBER(byte_at(marked + 4096));
    NUMBER(byte_at(marked));
    NUMBER(byte_at(skipped));
    TRUTH(byte_at(&threads) == 3);
    void *at = NULL;
    size_t size = 0;
    NUMBER(notes(NT_PRSTATUS, "CORE", &at, &size));
    NUMBER(size);
    struct elf_prstatus *first = at;
    NUMBER(first->pr_cursig);
    NUMBER(first->pr_info.si_code);
    TRUTH(first->pr_pid == child && first->pr_ppid == getpid() && first->pr_pgrp == getpgrp());
    struct user_regs_struct registers;
    memcpy(&registers, first->pr_reg, sizeof registers);
    TRUTH(registers.r12 == 0x1122334455667788 && registers.rax == 0);
    TRUTH(registers.cs == 0x33 && registers.ss == 0x2b && registers.orig_rax == (uintptr_t)-1);
    TRUTH(byte_at((void *)registers.rip) == 0xc7 || byte_at((void *)registers.rip) == -1);
    NUMBER(notes(NT_PRPSINFO, "CORE", &at, &size));
    struct elf_prpsinfo *info = at;
    NUMBER(size);
    TRUTH(info->pr_pid == child);
    TEXT(info->pr_fname);
    NUMBER(info->pr_uid);
    NUMBER(notes(NT_SIGINFO, "CORE", &at, &size));
    siginfo_t *signal = at;
    printf("%d %d %p\n", signal->si_signo, signal->si_code, signal->si_addr);
    NUMBER(notes(NT_AUXV, "CORE", &at, &size));
    TRUTH(((Elf64_auxv_t *)at)[size / sizeof(Elf64_auxv_t) - 1].a_type == AT_NULL);
    NUMBER(notes(NT_FPREGSET, "CORE", &at, &size));
    NUMBER(size);
    NUMBER(notes(NT_FILE, "CORE", &at, &size));
    TRUTH(((uint64_t *)at)[1] == 4096);
}

/* In %s, %e and others the name says what happened. */
static void names(void)
{
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "w");
    fprintf(file, "core-%%e-%%s-%%u%%%%%%x");
    fclose(file);
    snprintf(name, sizeof name, "core-cr!ab-%d-0%%", SIGABRT);
    ENDS(limit(RLIM_INFINITY); prctl(PR_SET_NAME, "cr/ab"));
    unlink(name);
    file = fopen("/proc/sys/kernel/core_pattern", "w");
    fprintf(file, "core");
    fclose(file);
    snprintf(name, sizeof name, "core");
    char line[64];
    file = fopen("/proc/self/coredump_filter", "r");
    TEXT(fgets(line, sizeof line, file));
    fclose(file);
    file = fopen("/proc/self/coredump_filter", "w");
    fputs("0x11", file);
    CALL(fclose(file));
    file = fopen("/proc/self/coredump_filter", "r");
    TEXT(fgets(line, sizeof line, file));
    fclose(file);
}

int main(void)
{
    /* The pattern is the system's: whose dumps go elsewhere is not tested here. */
    char pattern[256] = "";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "r");
    TRUTH(file && fgets(pattern, sizeof pattern, file) && strcmp(pattern, "core\n") == 0);
    if (file)
        fclose(file);
    char directory[] = "/tmp/core.XXXXXX";
    TRUTH(mkdtemp(directory) != NULL);
    CALL(chdir(directory));
    snprintf(name, sizeof name, "core");
    when();
    content();
    names();
    unlink("core");
    chdir("/");
    rmdir(directory);
    return 0;
}
