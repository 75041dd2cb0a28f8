// What the program is given: arguments, environment, auxiliary vector, /proc/self.
// build: glibc pie musl
// args: first "second" * $HOME
// env: BIRGUS_TEST=a=b c
#include "check.h"
#include <elf.h>
#include <sys/auxv.h>

static const char *line_of(const char *path, const char *start)
{
    static char line[512];
    FILE *file = fopen(path, "r");
    if (!file)
        return errno_name(errno);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, start, strlen(start)) == 0) {
            fclose(file);
            line[strcspn(line, "\n")] = 0;
            return line;
        }
    fclose(file);
    return "no such line";
}

static int maps_has(const char *what)
{
    char line[512];
    int found = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    while (file && fgets(line, sizeof line, file)) {
        unsigned long from, to, offset, inode;
        char r, w, x, p;
        unsigned major, minor;
        if (sscanf(line, "%lx-%lx %c%c%c%c %lx %x:%x %lu", &from, &to, &r, &w, &x, &p, &offset,
                   &major, &minor, &inode) != 10)
            printf("strange line: %s", line);
        found |= strstr(line, what) != NULL;
    }
    if (file)
        fclose(file);
    return found;
}

static int local_in_data;

int main(int argc, char **argv, char **envp)
{
    NUMBER(argc);
    for (int i = 1; i < argc; i++)
        TEXT(argv[i]);
    TRUTH(argv[argc] == NULL);
    TRUTH(envp == environ);
    TEXT(getenv("BIRGUS_TEST"));
    TRUTH(argv[0][0] == '/');
    TRUTH((uintptr_t)__builtin_frame_address(0) % 16 == 0);

    NUMBER(getauxval(AT_PAGESZ));
    NUMBER(getauxval(AT_CLKTCK));
    NUMBER(getauxval(AT_SECURE));
    NUMBER(getauxval(AT_FLAGS));
    NUMBER(getauxval(AT_BASE));
    NUMBER(getauxval(AT_PHENT));
    TRUTH(getauxval(AT_PHNUM) > 2 && getauxval(AT_PHNUM) < 30);
    TRUTH(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid());
    TRUTH(getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
    int bits = 0;
    for (int i = 0; i < 16; i++)
        bits += __builtin_popcount(random[i]);
    TRUTH(bits > 20 && bits < 108);
    TRUTH(strcmp((char *)getauxval(AT_EXECFN), argv[0]) == 0);
    TEXT((char *)getauxval(AT_PLATFORM));
    TRUTH(getauxval(AT_HWCAP) != 0);
    TRUTH(getauxval(51) > 1024 && getauxval(51) < 65536);
    const Elf64_Phdr *headers = (const Elf64_Phdr *)getauxval(AT_PHDR);
    int loads = 0;
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
        loads += headers[i].p_type == PT_LOAD;
    TRUTH(loads >= 2 && loads <= 5);
    unsigned long entry = getauxval(AT_ENTRY);
    TRUTH(entry != 0 && *(unsigned char *)entry != 0);
    TRUTH(getauxval(0x12345) == 0);

    char path[4096] = "";
    TRUTH(readlink("/proc/self/exe", path, sizeof path - 1) == (ssize_t)strlen(argv[0]));
    TRUTH(strcmp(path, argv[0]) == 0);
    struct stat self, named;
    CALL(stat("/proc/self/exe", &self));
    CALL(stat(argv[0], &named));
    TRUTH(self.st_ino == named.st_ino && self.st_size == named.st_size);
    int fd = OK(open("/proc/self/exe", O_RDONLY));
    CALL(read(fd, path, 4));
    TRUTH(memcmp(path, ELFMAG, 4) == 0);
    fd = OK(open("/proc/self/cmdline", O_RDONLY));
    ssize_t length = read(fd, path, sizeof path);
    const char *second = path + strlen(path) + 1;
    TRUTH(strcmp(path, argv[0]) == 0 && length > 0 && path[length - 1] == 0);
    TEXT(second);
    TEXT(second + strlen(second) + 1);
    fd = OK(open("/proc/self/environ", O_RDONLY));
    TRUTH(read(fd, path, sizeof path) > 10);
    TRUTH(strncmp(get("/proc/self/comm"), strrchr(argv[0], '/') + 1, 5) == 0);
    TRUTH(strncmp(line_of("/proc/self/status", "Name:") + 6, "start", 5) == 0);
    TEXT(line_of("/proc/self/status", "State:"));
    TEXT(line_of("/proc/self/status", "Threads:"));
    TRUTH(atoi(line_of("/proc/self/status", "Pid:") + 5) == getpid());
    TRUTH(maps_has("[stack]"));
    TRUTH(maps_has(argv[0]));
    TRUTH(maps_has("r-xp"));
    snprintf(path, sizeof path, "/proc/%d/comm", getpid());
    CALL(access(path, R_OK));
    TRUTH(strstr(line_of("/proc/meminfo", "MemTotal:"), "kB") != NULL);
    CALL(access("/proc/none", F_OK));
    CALL(mkdir("/proc/none", 0755));
    length = readlink("/proc/self/fd/1", path, sizeof path - 1);
    TRUTH(length > 0 && strncmp(path, "pipe:[", 6) == 0);
    (void)local_in_data;
    return 0;
}
