// Programs that cannot be executed: the error, and that the caller goes on as before.
// build: glibc musl
#include "children.h"
#include <elf.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static char *none[] = { NULL };
static char *one[] = { "x", NULL };

static void paths(void)
{
    CALL(execve("none", one, none));
    CALL(execve("", one, none));
    CALL(execve(".", one, none));
    CALL(execve("/", one, none));
    put("file", "text");
    CALL(execve("file", one, none));
    CALL(execve("file/x", one, none));
    CALL(chmod("file", 0755));
    CALL(execve("file", one, none));
    CALL(execve("file/", one, none));
    CALL(symlink("loop", "loop"));
    CALL(execve("loop", one, none));
    CALL(symlink("none", "dangling"));
    CALL(execve("dangling", one, none));
    char *name = malloc(5000);
    memset(name, 'n', 5000);
    name[4999] = 0;
    CALL(execve(name, one, none));
    name[300] = 0;
    CALL(execve(name, one, none));
    CALL(execve((char *)8, one, none));
    CALL(execve("file", (char **)8, none));
    CALL(execve("file", (char *[]){ "x", (char *)8, NULL }, none));
    CALL(execve("file", one, (char **)8));
    CALL(execve("/dev/null", one, none));
    CALL(mkfifo("fifo", 0777));
    CALL(execve("fifo", one, none));
    CALL(execve("/proc/self/status", one, none));
}

static void put_bytes(const char *path, const void *bytes, size_t length)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT, 0755);
    write(fd, bytes, length);
    close(fd);
}

static void formats(void)
{
    Elf64_Ehdr header = {
        .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
        .e_entry = 0x400000, .e_phoff = sizeof header, .e_ehsize = sizeof header,
        .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1,
    };
    put_bytes("empty", "", 0);
    CALL(execve("empty", one, none));
    put_bytes("short", "\x7f" "ELF", 4);
    CALL(execve("short", one, none));
    put_bytes("zeros", calloc(1, 4096), 4096);
    CALL(execve("zeros", one, none));
    Elf64_Ehdr bad = header;
    bad.e_machine = EM_AARCH64;
    put_bytes("arm", &bad, sizeof bad);
    CALL(execve("arm", one, none));
    bad = header;
    bad.e_type = ET_REL;
    put_bytes("object", &bad, sizeof bad);
    CALL(execve("object", one, none));
    bad = header;
    bad.e_phentsize = 8;
    put_bytes("odd", &bad, sizeof bad);
    CALL(execve("odd", one, none));
    bad = header;
    bad.e_phnum = 0;
    put_bytes("nothing", &bad, sizeof bad);
    CALL(execve("nothing", one, none));
    struct { Elf64_Ehdr header; Elf64_Phdr segment; char path[32]; } file = {
        .header = header,
        .segment = { .p_type = PT_INTERP, .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
                     .p_filesz = 14, .p_memsz = 14 },
        .path = "/none/ld.so.9",
    };
    put_bytes("interpreter", &file, sizeof file);
    CALL(execve("interpreter", one, none));
    file.segment.p_filesz = 1;
    put_bytes("interpreter", &file, sizeof file);
    CALL(execve("interpreter", one, none));
    file.segment.p_filesz = 13;
    put_bytes("interpreter", &file, sizeof file);
    CALL(execve("interpreter", one, none));
    /* A segment where nothing can be mapped: past the point of no return, or refused. */
    file.segment = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X,
                                 .p_vaddr = 0xffff800000000000, .p_filesz = 200,
                                 .p_memsz = 200, .p_align = 4096 };
    put_bytes("far", &file, sizeof file);
    IN_CHILD(execve("far", one, none); _exit(50));
    file.segment.p_vaddr = 0x400000;
    file.segment.p_memsz = 100;
    put_bytes("larger", &file, sizeof file);
    IN_CHILD(execve("larger", one, none); _exit(50));
}

static void busy(void)
{
    char buffer[65536];
    unlink("program");
    int from = open("/proc/self/exe", O_RDONLY);
    int to = open("program", O_WRONLY | O_CREAT, 0755);
    ssize_t length;
    while ((length = read(from, buffer, sizeof buffer)) > 0)
        write(to, buffer, length);
    CALL(execve("program", (char *[]){ "x", "status", "9", NULL }, none));
    close(to);
    IN_CHILD(execve("program", (char *[]){ "x", "status", "9", NULL }, none); _exit(50));
    /* A running program cannot be opened for writing, nor truncated; unlinked it can be. */
    struct event ready = event_new();
    dup2(ready.fd[1], 30);
    pid_t pid = CHILD(execve("program", (char *[]){ "x", "wait", NULL }, none));
    event_wait(ready);
    CALL(open("program", O_WRONLY));
    CALL(open("program", O_RDWR | O_TRUNC));
    CALL(truncate("program", 0));
    CALL(close(open("program", O_RDONLY)));
    CALL(rename("program", "renamed"));
    CALL(unlink("renamed"));
    CALL(kill(pid, SIGKILL));
    TEXT(reap(pid));
}

static void permissions(void)
{
    put_bytes("no-bits", "text", 4);
    CALL(chmod("no-bits", 0644));
    CALL(execve("no-bits", one, none));
    CALL(mkdir("closed", 0700));
    put_bytes("closed/program", "text", 4);
    put_bytes("group", "text", 4);
    CALL(chmod("group", 0010));
    CALL(execve("group", one, none));
    CALL(chmod(".", 0755));
    IN_CHILD(
        CALL(setgid(1000));
        CALL(setuid(1000));
        CALL(execve("closed/program", one, none));
        CALL(execve("group", one, none)));
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "status") == 0)
        return atoi(argv[2]);
    if (argc > 1 && strcmp(argv[1], "wait") == 0) {
        write(30, "!", 1);
        for (;;)
            pause();
    }
    enter_scratch();
    int handled = 5;
    paths();
    formats();
    busy();
    permissions();
    NUMBER(handled);
    return 0;
}
