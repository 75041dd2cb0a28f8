// fanotify: what is told of files and directories by handles and names, in which order.
// build: glibc musl
#include "check.h"
#include <sys/fanotify.h>

// Not in the headers of every C library.
#define REPORT_FID 0x200
#define REPORT_DIR_FID 0x400
#define REPORT_NAME 0x800
#define REPORT_TARGET_FID 0x1000
#define RENAME 0x10000000
#define ON_CHILD 0x08000000
#define ON_DIR 0x40000000
#define ENTRIES (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO)
#define FILES (FAN_OPEN | FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE)

struct record {
    unsigned char kind, pad;
    unsigned short len;
    int fsid[2];
    unsigned bytes;
    int type;
    char rest[];
};

static int group;

static void show(const char *when)
{
    static char block[65536] __attribute__((aligned(8)));
    int length = read(group, block, sizeof block);
    printf("%s:", when);
    if (length < 0)
        printf(" %s", errno_name(errno));
    for (int at = 0; at < length;) {
        struct fanotify_event_metadata *event = (void *)(block + at);
        printf(" [%#llx%s", (unsigned long long)event->mask, event->pid == getpid() ? "" : " another");
        for (unsigned end = event->metadata_len; end < event->event_len;) {
            struct record *record = (void *)(block + at + end);
            const char *name = record->rest + record->bytes;
            int has_name = record->kind == 2 || record->kind == 10 || record->kind == 12;
            printf(" %d%s%s", record->kind, has_name ? ":" : "", has_name ? name : "");
            end += record->len;
        }
        printf("]");
        at += event->event_len;
    }
    printf("\n");
}

static void change(void)
{
    char byte;
    int file = OK(open("d/a", O_CREAT | O_RDWR, 0600));
    CALL(write(file, "x", 1));
    CALL(pread(file, &byte, 1, 0));
    CALL(fchmod(file, 0644));
    close(file);
    show("made");
    CALL(rename("d/a", "d/b"));
    show("renamed");
    CALL(mkdir("d/sub", 0700));
    CALL(rename("d/b", "d/sub/c"));
    show("moved away");
    CALL(unlink("d/sub/c"));
    CALL(rmdir("d/sub"));
    show("removed");
}

static void with(unsigned flags, unsigned long long mask)
{
    printf("flags %#x\n", flags);
    group = OK(fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | flags, O_RDONLY));
    CALL(fanotify_mark(group, FAN_MARK_ADD, mask, AT_FDCWD, "d"));
    change();
    CALL(fanotify_mark(group, FAN_MARK_REMOVE, mask, AT_FDCWD, "d"));
    CALL(fanotify_mark(group, FAN_MARK_REMOVE, mask, AT_FDCWD, "d"));
    close(group);
}

int main(void)
{
    enter_scratch();
    CALL(mkdir("d", 0700));
    CALL(fanotify_init(REPORT_FID | 0x80000000, O_RDONLY));
    CALL(fanotify_init(REPORT_NAME, O_RDONLY));
    CALL(fanotify_init(REPORT_FID | REPORT_TARGET_FID, O_RDONLY));
    CALL(fanotify_init(REPORT_FID, O_ACCMODE));
    group = OK(fanotify_init(REPORT_FID | FAN_NONBLOCK, O_RDONLY));
    CALL(fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "nothing"));
    CALL(fanotify_mark(group, FAN_MARK_ADD, 0, AT_FDCWD, "d"));
    CALL(fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "d"));
    CALL(fanotify_mark(group, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "d"));
    CALL(fanotify_mark(group, FAN_MARK_ADD, RENAME, AT_FDCWD, "d"));
    CALL(fanotify_mark(group, FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, "d"));
    CALL(fanotify_mark(group, FAN_MARK_FLUSH, FAN_OPEN, AT_FDCWD, "d"));
    CALL(fanotify_mark(0, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "d"));
    CALL(fanotify_mark(99, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "d"));
    show("nothing");
    CALL(write(group, "12345678", 8));
    close(group);

    with(REPORT_FID, ENTRIES | FILES | ON_CHILD | ON_DIR);
    with(REPORT_DIR_FID, ENTRIES | ON_DIR);
    with(REPORT_DIR_FID | REPORT_NAME, ENTRIES | FILES | ON_CHILD);
    with(REPORT_FID | REPORT_DIR_FID | REPORT_NAME, ENTRIES | FILES | ON_CHILD | ON_DIR);
    with(REPORT_FID | REPORT_DIR_FID | REPORT_NAME | REPORT_TARGET_FID,
         ENTRIES | RENAME | ON_CHILD | ON_DIR);
    return 0;
}
