// sendfile, splice, tee, vmsplice and copy_file_range between files, pipes and processes.
// build: glibc musl
#include "children.h"
#include <sys/sendfile.h>
#include <sys/uio.h>

static char large[300000];

static void reset(int fd)
{
    lseek(fd, 0, SEEK_SET);
}

static const char *rest(int fd)
{
    static char text[256];
    ssize_t length = read(fd, text, sizeof text - 1);
    if (length < 0)
        return errno_name(errno);
    text[length] = 0;
    return text;
}

static void send(void)
{
    int ends[2];
    pipe(ends);
    int in = open("in", O_RDONLY);
    int out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0644);
    off_t offset = 3;
    CALL(sendfile(out, in, NULL, 4));
    CALL(sendfile(out, in, &offset, 100));
    NUMBER(offset);
    NUMBER(lseek(in, 0, SEEK_CUR));
    reset(out);
    TEXT(rest(out));
    CALL(sendfile(ends[1], in, NULL, 100));
    CALL(sendfile(ends[1], in, NULL, 100));
    TEXT(rest(ends[0]));
    CALL(sendfile(out, ends[0], NULL, 1));
    CALL(sendfile(99, in, NULL, 1));
    CALL(sendfile(in, in, NULL, 1));
    offset = -1;
    CALL(sendfile(out, in, &offset, 1));
    /* To a reader of another process, more than fits. */
    int source = open("large", O_RDONLY);
    pid_t pid = CHILD(
        close(ends[1]);
        size_t total = 0;
        int wrong = 0;
        char part[5000];
        ssize_t length;
        while ((length = read(ends[0], part, sizeof part)) > 0) {
            wrong += memcmp(part, large + total, length) != 0;
            total += length;
        }
        printf("%zu bytes, %d wrong\n", total, wrong));
    size_t sent = 0;
    ssize_t length;
    while ((length = sendfile(ends[1], source, NULL, sizeof large)) > 0)
        sent += length;
    close(ends[1]);
    TEXT(reap(pid));
    NUMBER(sent);
}

static void splices(void)
{
    int one[2];
    int two[2];
    pipe(one);
    pipe(two);
    int in = open("in", O_RDONLY);
    int out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0644);
    loff_t offset = 2;
    CALL(splice(in, NULL, one[1], NULL, 5, 0));
    CALL(splice(in, &offset, one[1], NULL, 3, 0));
    NUMBER(offset);
    CALL(tee(one[0], two[1], 100, 0));
    CALL(splice(one[0], NULL, two[1], NULL, 4, 0));
    TEXT(rest(one[0]));
    TEXT(rest(two[0]));
    CALL(write(one[1], "to a file", 9));
    offset = 10;
    CALL(splice(one[0], NULL, out, &offset, 100, 0));
    NUMBER(offset);
    NUMBER(lseek(out, 0, SEEK_CUR));
    CALL(lseek(out, 10, SEEK_SET));
    TEXT(rest(out));
    CALL(splice(in, NULL, out, NULL, 1, 0));
    CALL(splice(one[0], NULL, one[1], NULL, 1, 0));
    CALL(splice(one[0], &offset, out, NULL, 1, 0));
    CALL(splice(one[0], NULL, out, NULL, 1, SPLICE_F_NONBLOCK));
    CALL(tee(one[0], two[1], 1, SPLICE_F_NONBLOCK));
    CALL(tee(one[0], out, 1, 0));
    CALL(tee(one[0], one[1], 1, 0));
    CALL(splice(one[0], NULL, out, NULL, 1, 0x100));
    CALL(write(one[1], "kept", 4));
    CALL(tee(one[0], two[1], 2, 0));
    TEXT(rest(one[0]));
    TEXT(rest(two[0]));
    struct iovec parts[] = { { "vm", 2 }, { "splice", 6 } };
    CALL(vmsplice(one[1], parts, 2, 0));
    TEXT(rest(one[0]));
    close(one[1]);
    CALL(splice(one[0], NULL, out, NULL, 1, 0));
    /* A splice that waits for another process. */
    pid_t pid = CHILD(sleep_ms(50); write(two[1], "late", 4));
    reset(out);
    CALL(splice(two[0], NULL, out, NULL, 100, 0));
    TEXT(reap(pid));
    reset(out);
    TRUTH(strncmp(rest(out), "late", 4) == 0);
}

static void copies(void)
{
    int in = open("in", O_RDONLY);
    int out = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0644);
    loff_t from = 5;
    loff_t to = 2;
    CALL(copy_file_range(in, NULL, out, NULL, 3, 0));
    CALL(copy_file_range(in, &from, out, &to, 100, 0));
    NUMBER(from);
    NUMBER(to);
    reset(out);
    TEXT(rest(out));
    CALL(copy_file_range(in, &from, out, &to, 100, 0));
    from = 1;
    to = 2;
    CALL(copy_file_range(out, &from, out, &to, 5, 0));
    to = 6;
    CALL(copy_file_range(out, &from, out, &to, 2, 0));
    reset(out);
    TEXT(rest(out));
    CALL(copy_file_range(in, NULL, in, NULL, 1, 0));
    CALL(copy_file_range(in, NULL, out, NULL, 1, 1));
    int append = open("copy", O_WRONLY | O_APPEND);
    CALL(copy_file_range(in, NULL, append, NULL, 1, 0));
    int directory = open(".", O_RDONLY);
    CALL(copy_file_range(directory, NULL, out, NULL, 1, 0));
    int ends[2];
    pipe(ends);
    CALL(copy_file_range(ends[0], NULL, out, NULL, 1, 0));
    int source = open("large", O_RDONLY);
    reset(out);
    CALL(copy_file_range(source, NULL, out, NULL, sizeof large, 0));
    static char back[sizeof large];
    CALL(pread(out, back, sizeof back, 0));
    TRUTH(memcmp(back, large, sizeof large) == 0);
}

int main(void)
{
    enter_scratch();
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = i * 7 + i / 251;
    put("in", "0123456789");
    int fd = open("large", O_WRONLY | O_CREAT, 0644);
    write(fd, large, sizeof large);
    close(fd);
    send();
    splices();
    copies();
    return 0;
}
