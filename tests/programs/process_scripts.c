// `#!` scripts: the interpreter's arguments, nesting, limits, and what is no script.
#include "children.h"
#include <limits.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static char self[PATH_MAX];

static void script(const char *name, const char *format, ...)
{
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    put(name, text);
    chmod(name, 0755);
}

static void execute(const char *name)
{
    printf("%s:\n", name[0] == '/' ? strrchr(name, '/') : name);
    IN_CHILD(
        execl(name, "argv0", "one", "two words", NULL);
        printf("%s\n", errno_name(errno));
        fflush(stdout);
        _exit(50));
}

static int tell(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        /* Absolute paths differ from run to run. */
        char *slash = argv[i][0] == '/' ? strrchr(argv[i], '/') : NULL;
        printf("[%s]", slash ? slash : argv[i]);
    }
    printf("\n");
    return argc;
}

static void arguments(void)
{
    script("plain", "#!%s\nnot read\n", self);
    execute("plain");
    execute("./plain");
    script("argument", "#!%s -option\n", self);
    execute("argument");
    script("spaces", "#! \t %s \t two words as one \t \n", self);
    execute("spaces");
    script("no-end", "#!%s tail", self);
    execute("no-end");
    script("carriage", "#!%s\r\n", self);
    execute("carriage");
    symlink("argument", "link");
    execute("link");
    char path[PATH_MAX];
    getcwd(path, 2000);
    strcat(path, "/plain");
    execute(path);
    chmod("plain", 0644);
    execute("plain");
    chmod("plain", 0755);
    /* argv[0] is dropped; without arguments the path still comes. */
    IN_CHILD(execv("plain", (char *[]){ NULL }));
    IN_CHILD(execl("plain", "only", NULL));
}

static void nesting(void)
{
    char path[PATH_MAX];
    symlink("self", "0");
    for (int level = 1; level <= 6; level++) {
        char name[2] = { '0' + level, 0 };
        script(name, "#!%d a%d\n", level - 1, level);
    }
    for (int level = 1; level <= 6; level++) {
        char name[2] = { '0' + level, 0 };
        execute(name);
    }
    script("itself", "#!itself\n");
    execute("itself");
}

static void refused(void)
{
    script("missing", "#!/none/such-interpreter\n");
    execute("missing");
    script("directory", "#!/\n");
    execute("directory");
    script("line", "#!\n");
    execute("line");
    script("blanks", "#!   \n");
    execute("blanks");
    script("text", "#!text\n");
    put("text", "no program");
    chmod("text", 0644);
    execute("text");
    chmod("text", 0755);
    execute("text");
    script("other", "# !/bin/sh\n");
    execute("other");
}

static void long_lines(void)
{
    char blanks[300];
    memset(blanks, ' ', sizeof blanks);
    blanks[255 - 2 - strlen(self)] = 0;
    char many[400];
    memset(many, 'x', sizeof many);
    many[399] = 0;
    script("long-argument", "#!%s %s\n", self, many);
    printf("long-argument:\n");
    IN_CHILD(execl("long-argument", "x", NULL));
    script("long-path", "#!/%s\n", many);
    execute("long-path");
    script("late-path", "#!%s%s\n", blanks, self);
    execute("late-path");
}

static void by_descriptor(void)
{
    script("plain", "#!%s\n", self);
    int fd = open("plain", O_RDONLY);
    IN_CHILD(syscall(SYS_execveat, fd, "", (char *[]){ "x", "argument", NULL }, NULL,
                     AT_EMPTY_PATH));
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    CALL(syscall(SYS_execveat, fd, "", (char *[]){ "x", NULL }, NULL, AT_EMPTY_PATH));
    IN_CHILD(syscall(SYS_execveat, AT_FDCWD, "plain", (char *[]){ "x", "argument", NULL },
                     NULL, 0));
    int directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CALL(syscall(SYS_execveat, directory, "plain", (char *[]){ "x", NULL }, NULL, 0));
    CALL(syscall(SYS_execveat, AT_FDCWD, "", (char *[]){ "x", NULL }, NULL, 0));
    CALL(syscall(SYS_execveat, 77, "plain", (char *[]){ "x", NULL }, NULL, 0));
    CALL(syscall(SYS_execveat, fd, "", (char *[]){ "x", NULL }, NULL, 0x800000));
    symlink("plain", "link-to-plain");
    CALL(syscall(SYS_execveat, AT_FDCWD, "link-to-plain", (char *[]){ "x", NULL }, NULL,
                 AT_SYMLINK_NOFOLLOW));
    CALL(syscall(SYS_execveat, fd, "plain", (char *[]){ "x", NULL }, NULL, 0));
    int program = open(self, O_RDONLY | O_CLOEXEC);
    IN_CHILD(syscall(SYS_execveat, program, "", (char *[]){ "x", "by descriptor", NULL }, NULL,
                     AT_EMPTY_PATH));
    program = open(self, O_PATH);
    IN_CHILD(syscall(SYS_execveat, program, "", (char *[]){ "x", "by path", NULL }, NULL,
                     AT_EMPTY_PATH));
    IN_CHILD(fexecve(program, (char *[]){ "x", "fexecve", NULL }, (char *[]){ NULL }));
    /* From memory alone. */
    int memory = memfd_create("memory", MFD_CLOEXEC);
    int from = open(self, O_RDONLY);
    char buffer[65536];
    ssize_t length;
    while ((length = read(from, buffer, sizeof buffer)) > 0)
        write(memory, buffer, length);
    IN_CHILD(syscall(SYS_execveat, memory, "", (char *[]){ "x", "from memory", NULL }, NULL,
                     AT_EMPTY_PATH));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return tell(argc, argv);
    self[readlink("/proc/self/exe", self, sizeof self - 1)] = 0;
    enter_scratch();
    /* A short path, of one length wherever this runs, for lines of limited length. */
    symlink(self, "self");
    strcpy(self, "./self");
    arguments();
    nesting();
    refused();
    long_lines();
    by_descriptor();
    return 0;
}
