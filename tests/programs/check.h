/*
 * What every conformance program shares.
 *
 * A program prints one line for each fact, `EXPRESSION -> RESULT`, where the text of the
 * expression is made by the preprocessor: a difference between Linux and Birgus names
 * itself. Facts are deterministic: no addresses, process ids or times.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* The name of an error number; musl has no strerrorname_np. */
static inline const char *errno_name(int error)
{
    static const struct { int number; const char *name; } names[] = {
#define NAME(e) { e, #e }
        NAME(EPERM), NAME(ENOENT), NAME(EINTR), NAME(EIO), NAME(ENXIO), NAME(E2BIG),
        NAME(ENOEXEC), NAME(EBADF), NAME(ECHILD), NAME(EAGAIN), NAME(ENOMEM), NAME(EACCES),
        NAME(EFAULT), NAME(EBUSY), NAME(EEXIST), NAME(EXDEV), NAME(ENODEV), NAME(ENOTDIR),
        NAME(EISDIR), NAME(EINVAL), NAME(ENFILE), NAME(EMFILE), NAME(ENOTTY), NAME(ETXTBSY),
        NAME(EFBIG), NAME(ENOSPC), NAME(ESPIPE), NAME(EROFS), NAME(EMLINK), NAME(EPIPE),
        NAME(EDOM), NAME(ERANGE), NAME(EDEADLK), NAME(ENAMETOOLONG), NAME(ENOSYS),
        NAME(ENOTEMPTY), NAME(ELOOP), NAME(ENODATA), NAME(EOVERFLOW), NAME(EOPNOTSUPP),
        NAME(ESRCH), NAME(ETIMEDOUT), NAME(ENOTSOCK), NAME(EILSEQ), NAME(ENOTBLK),
#undef NAME
    };
    static char other[32];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == error)
            return names[i].name;
    snprintf(other, sizeof other, "errno %d", error);
    return other;
}

/* A call that answers -1 and sets errno on failure: prints its value or the error. */
#define CALL(expression) ({ \
    errno = 0; \
    long result_ = (long)(expression); \
    int error_ = errno; \
    if (result_ == -1 && error_) \
        printf("%s -> %s\n", #expression, errno_name(error_)); \
    else \
        printf("%s -> %ld\n", #expression, result_); \
    result_; })

/* The same for a call whose value is not a fact (a descriptor, an address). */
#define OK(expression) ({ \
    errno = 0; \
    __typeof__(expression) result_ = (expression); \
    int error_ = errno; \
    printf("%s -> %s\n", #expression, (long)result_ == -1 ? errno_name(error_) : "ok"); \
    result_; })

/* A call that answers an error number, or 0. */
#define ERROR(expression) ({ \
    int error_ = (expression); \
    printf("%s -> %s\n", #expression, error_ ? errno_name(error_) : "0"); })

#define TRUTH(expression) printf("%s -> %s\n", #expression, (expression) ? "yes" : "no")
#define NUMBER(expression) printf("%s -> %ld\n", #expression, (long)(expression))
#define HEX(expression) printf("%s -> %#lx\n", #expression, (unsigned long)(expression))
#define TEXT(expression) printf("%s -> %s\n", #expression, (expression))

/* Enters a fresh, empty directory on a tmpfs. The runner removes it. */
static inline void enter_scratch(void)
{
    char path[4096];
    const char *base = getenv("SCRATCH");
    snprintf(path, sizeof path, "%s/program-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path) || chdir(path) != 0) {
        printf("no scratch directory in %s: %s\n", base ? base : "/tmp", errno_name(errno));
        exit(99);
    }
    umask(022);
}

/* Makes a file with this content. */
static inline void put(const char *path, const char *content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content)) {
        printf("cannot write %s: %s\n", path, errno_name(errno));
        exit(98);
    }
    close(fd);
}

/* The content of a file, up to 255 bytes, or the name of the error. */
static inline const char *get(const char *path)
{
    static char content[256];
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return errno_name(errno);
    ssize_t length = read(fd, content, sizeof content - 1);
    close(fd);
    if (length < 0)
        return errno_name(errno);
    content[length] = 0;
    return content;
}

/* Lines reach the runner one by one, also when the program dies. */
__attribute__((constructor)) static void check_begin(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
}

#endif
