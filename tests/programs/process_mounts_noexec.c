// A file system mounted without execution: neither execve nor PROT_EXEC takes its files.
#include "check.h"
#include <sys/mman.h>
#include <sys/mount.h>

int main(void)
{
    enter_scratch();
    CALL(mkdir("a", 0755));
    CALL(mount("none", "a", "tmpfs", MS_NOEXEC, NULL));
    put("a/script", "#!/proc/self/exe\n");
    chmod("a/script", 0755);
    CALL(execl("a/script", "x", NULL));
    int program = open("a/script", O_RDONLY);
    OK(mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE, program, 0));
    close(program);
    CALL(umount("a"));
    return 0;
}
