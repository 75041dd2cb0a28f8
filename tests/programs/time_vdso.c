// The vDSO: found by its ELF tables, in step with the system calls, mapped as on Linux.
// build: glibc pie musl
#include "check.h"
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static const Elf64_Ehdr *image;
static const Elf64_Sym *symbols;
static const char *strings;
static const Elf64_Half *versions;
static const Elf64_Verdef *definitions;
static const Elf64_Word *hash;

/* Reads the tables as the dynamic linkers do. */
static int parse(void)
{
    image = (const void *)getauxval(AT_SYSINFO_EHDR);
    if (!image || memcmp(image->e_ident, ELFMAG, SELFMAG))
        return 0;
    const Elf64_Phdr *headers = (const void *)((const char *)image + image->e_phoff);
    const char *base = 0;
    const Elf64_Dyn *dynamic = 0;
    for (int i = 0; i < image->e_phnum; i++) {
        if (headers[i].p_type == PT_LOAD && !base)
            base = (const char *)image + headers[i].p_offset - headers[i].p_vaddr;
        if (headers[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)((const char *)image + headers[i].p_offset);
    }
    for (; base && dynamic && dynamic->d_tag; dynamic++) {
        const void *at = base + dynamic->d_un.d_ptr;
        switch (dynamic->d_tag) {
        case DT_SYMTAB: symbols = at; break;
        case DT_STRTAB: strings = at; break;
        case DT_VERSYM: versions = at; break;
        case DT_VERDEF: definitions = at; break;
        case DT_HASH: hash = at; break;
        }
    }
    return symbols && strings && versions && definitions;
}

static const char *version_of(int symbol)
{
    const Elf64_Verdef *one = definitions;
    while (one->vd_ndx != (versions[symbol] & 0x7fff)) {
        if (!one->vd_next)
            return "?";
        one = (const void *)((const char *)one + one->vd_next);
    }
    const Elf64_Verdaux *name = (const void *)((const char *)one + one->vd_aux);
    return strings + name->vda_name;
}

/* The function with this name, as `version` prints its version. */
static void *find(const char *name)
{
    /* A hash table is not always there; the symbols of a vDSO are few. */
    int count = hash ? (int)hash[1] : 12;
    for (int i = 1; i < count; i++) {
        if (symbols[i].st_shndx && !strcmp(strings + symbols[i].st_name, name)) {
            printf("%s@%s\n", name, version_of(i));
            return (char *)image + symbols[i].st_value;
        }
    }
    printf("%s is missing\n", name);
    return 0;
}

static long ns(const struct timespec *time)
{
    return time->tv_sec * 1000000000L + time->tv_nsec;
}

/* Both ways to ask for `clock`, a million times: the time never goes back. */
static long steps_back(clockid_t clock, int rounds)
{
    struct timespec now;
    long last = 0, back = 0;
    for (int i = 0; i < rounds; i++) {
        clock_gettime(clock, &now);
        back += ns(&now) < last;
        last = ns(&now);
        syscall(SYS_clock_gettime, clock, &now);
        back += ns(&now) < last;
        last = ns(&now);
    }
    return back;
}

/* Where /proc/self/maps has `name`: permissions, and whether it is there once. */
static void print_mapping(const char *name)
{
    char line[512], found[8] = "none";
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        size_t length = strcspn(line, "\n");
        line[length] = 0;
        if (length > strlen(name) && !strcmp(line + length - strlen(name), name))
            sscanf(line, "%*s %7s", found);
    }
    fclose(maps);
    printf("%s: %s\n", name, found);
}

int main(void)
{
    TRUTH(parse());
    int (*gettime)(clockid_t, struct timespec *) = find("__vdso_clock_gettime");
    int (*getres)(clockid_t, struct timespec *) = find("__vdso_clock_getres");
    int (*gettod)(struct timeval *, struct timezone *) = find("__vdso_gettimeofday");
    time_t (*seconds)(time_t *) = find("__vdso_time");
    long (*getcpu)(unsigned *, unsigned *, void *) = find("__vdso_getcpu");
    find("clock_gettime");

    NUMBER(steps_back(CLOCK_MONOTONIC, 1000000));
    NUMBER(steps_back(CLOCK_REALTIME, 100000));
    NUMBER(steps_back(CLOCK_BOOTTIME, 100000));
    NUMBER(steps_back(CLOCK_THREAD_CPUTIME_ID, 10000));

    struct timespec one, other;
    struct timeval tv;
    struct timezone zone = { 5, 5 };
    NUMBER(gettime(CLOCK_REALTIME, &one));
    NUMBER(gettod(&tv, &zone));
    NUMBER(gettime(CLOCK_REALTIME, &other));
    TRUTH(ns(&one) / 1000 <= tv.tv_sec * 1000000L + tv.tv_usec);
    TRUTH(tv.tv_sec * 1000000L + tv.tv_usec <= ns(&other) / 1000);
    NUMBER(zone.tz_dsttime);
    NUMBER(gettod(NULL, NULL));
    time_t stored = 0, now = seconds(&stored);
    TRUTH(now == stored && now >= tv.tv_sec - 1 && now <= tv.tv_sec + 1);
    TRUTH(seconds(NULL) >= now);
    NUMBER(getres(CLOCK_MONOTONIC, &one));
    TRUTH(one.tv_sec == 0 && one.tv_nsec == 1);
    NUMBER(getres(CLOCK_MONOTONIC, NULL));
    TRUTH(gettime(77, &one) == -EINVAL);
    TRUTH(gettime(-1, &one) < 0 || one.tv_sec >= 0);
    TRUTH(getres(77, &one) == -EINVAL);
    unsigned cpu = -1, node = -1;
    NUMBER(getcpu(&cpu, &node, NULL));
    TRUTH(cpu != -1u && node != -1u);
    NUMBER(getcpu(NULL, NULL, NULL));

    print_mapping("[vdso]");
    char byte;
    int pipes[2];
    TRUTH(pipe(pipes) == 0);
    CALL(write(pipes[1], image, 4));
    CALL(read(pipes[0], &byte, 1));
    NUMBER(byte);
    CALL(read(pipes[0], (void *)image, 1));
    if (fork() == 0) {
        NUMBER(gettime(CLOCK_MONOTONIC, &one));
        NUMBER(steps_back(CLOCK_MONOTONIC, 1000));
        exit(0);
    }
    int status;
    wait(&status);
    NUMBER(status);
    NUMBER(*(const char *)image);
    return 0;
}
