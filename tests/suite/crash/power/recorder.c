/* Records what a process does to an LMDB data file: preloaded with LD_PRELOAD.
 *
 * RECORDER_DATA   the data file, as it is opened
 * RECORDER_MARKS  a file whose writes are recorded as marks
 * RECORDER_LOG    where the record goes
 * RECORDER_SWALLOW  "sync": fsync and fdatasync of the data file do nothing;
 *                   "dsync": O_DSYNC means nothing; "names": syncs of
 *                   directories do nothing. To see that the checks notice.
 *
 * A record is a header of 24 bytes and the bytes that were written. Calls are
 * recorded after they have succeeded, one at a time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOTHING, DATA, DATA_SYNCED, MARKS, DIRECTORY, PARENT };

struct header {
    uint8_t kind; /* W write, w write that is synced, T truncate, S sync, C create,
                     D sync of the directory, P of its parent, M mark, U unseen writes */
    uint8_t unused[7];
    uint64_t offset, length;
};

#define FDS 65536
static uint8_t kinds[FDS];
static int log_fd = -1;
static const char *data, *marks, *swallow = "";
static char directory[4096], parent[4096];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

static void up(char *path) {
    char *slash = strrchr(path, '/');
    if (slash) *slash = 0;
}

__attribute__((constructor)) static void start(void) {
    const char *log = getenv("RECORDER_LOG");
    data = getenv("RECORDER_DATA");
    marks = getenv("RECORDER_MARKS");
    if (getenv("RECORDER_SWALLOW")) swallow = getenv("RECORDER_SWALLOW");
    if (!log || !data || !marks || strlen(data) >= sizeof directory) abort();
    strcpy(directory, data);
    up(directory);
    strcpy(parent, directory);
    up(parent);
    log_fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) abort();
    /* Children are not what is looked at. */
    unsetenv("LD_PRELOAD");
}

static int kind(int fd) { return fd >= 0 && fd < FDS ? kinds[fd] : NOTHING; }
static int is_data(int fd) { return kind(fd) == DATA || kind(fd) == DATA_SYNCED; }

static void put(const void *bytes, size_t length) {
    while (length) {
        ssize_t n = REAL(write)(log_fd, bytes, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) abort();
        bytes = (const char *)bytes + n;
        length -= n;
    }
}

static void record(char what, uint64_t offset, const struct iovec *iov, int count, uint64_t length) {
    struct header header = { .kind = what, .offset = offset, .length = length };
    int before = errno;
    pthread_mutex_lock(&lock);
    put(&header, sizeof header);
    for (int i = 0; i < count && length; i++) {
        size_t n = iov[i].iov_len < length ? iov[i].iov_len : length;
        put(iov[i].iov_base, n);
        length -= n;
    }
    pthread_mutex_unlock(&lock);
    errno = before;
}

static void written(int fd, uint64_t offset, const struct iovec *iov, int count, ssize_t n) {
    if (n <= 0) return;
    if (is_data(fd)) record(kind(fd) == DATA_SYNCED ? 'w' : 'W', offset, iov, count, n);
    else if (kind(fd) == MARKS) record('M', 0, iov, count, n);
}

static int opened(int fd, const char *path, int flags, int existed) {
    if (fd < 0 || fd >= FDS) return fd;
    kinds[fd] = NOTHING;
    if (!strcmp(path, data)) {
        kinds[fd] = (flags & O_DSYNC) && strcmp(swallow, "dsync") ? DATA_SYNCED : DATA;
        if (!existed) record('C', 0, NULL, 0, 0);
        if (flags & O_TRUNC) record('T', 0, NULL, 0, 0);
    } else if (!strcmp(path, marks)) {
        kinds[fd] = MARKS;
    } else {
        struct stat it, wanted;
        if (!fstat(fd, &it) && S_ISDIR(it.st_mode)) {
            if (!stat(directory, &wanted) && wanted.st_ino == it.st_ino && wanted.st_dev == it.st_dev)
                kinds[fd] = DIRECTORY;
            else if (!stat(parent, &wanted) && wanted.st_ino == it.st_ino && wanted.st_dev == it.st_dev)
                kinds[fd] = PARENT;
        }
    }
    return fd;
}

#define OPEN(name)                                                         \
    int name(const char *path, int flags, ...) {                           \
        mode_t mode = 0;                                                   \
        if (flags & (O_CREAT | O_TMPFILE)) {                               \
            va_list arguments;                                             \
            va_start(arguments, flags);                                    \
            mode = va_arg(arguments, mode_t);                              \
            va_end(arguments);                                             \
        }                                                                  \
        int existed = !access(path, F_OK);                                 \
        return opened(REAL(name)(path, flags, mode), path, flags, existed); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                  \
    int name(int at, const char *path, int flags, ...) {                              \
        mode_t mode = 0;                                                              \
        if (flags & (O_CREAT | O_TMPFILE)) {                                          \
            va_list arguments;                                                        \
            va_start(arguments, flags);                                               \
            mode = va_arg(arguments, mode_t);                                         \
            va_end(arguments);                                                        \
        }                                                                             \
        int existed = !faccessat(at, path, F_OK, 0);                                  \
        return opened(REAL(name)(at, path, flags, mode), path, flags, existed);       \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    if (fd >= 0 && fd < FDS) kinds[fd] = NOTHING;
    return REAL(close)(fd);
}

#define PWRITE(name, offset_type)                                                \
    ssize_t name(int fd, const void *bytes, size_t length, offset_type offset) { \
        struct iovec iov = { (void *)bytes, length };                            \
        ssize_t n = REAL(name)(fd, bytes, length, offset);                       \
        written(fd, offset, &iov, 1, n);                                         \
        return n;                                                                \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define PWRITEV(name, offset_type)                                                \
    ssize_t name(int fd, const struct iovec *iov, int count, offset_type offset) { \
        ssize_t n = REAL(name)(fd, iov, count, offset);                           \
        written(fd, offset, iov, count, n);                                       \
        return n;                                                                 \
    }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

ssize_t write(int fd, const void *bytes, size_t length) {
    struct iovec iov = { (void *)bytes, length };
    ssize_t n = REAL(write)(fd, bytes, length);
    if (kind(fd) != NOTHING) written(fd, is_data(fd) ? lseek(fd, 0, SEEK_CUR) - n : 0, &iov, 1, n);
    return n;
}

ssize_t writev(int fd, const struct iovec *iov, int count) {
    ssize_t n = REAL(writev)(fd, iov, count);
    if (kind(fd) != NOTHING) written(fd, is_data(fd) ? lseek(fd, 0, SEEK_CUR) - n : 0, iov, count, n);
    return n;
}

#define TRUNCATE(name, offset_type)                                       \
    int name(int fd, offset_type length) {                                \
        int failed = REAL(name)(fd, length);                              \
        if (!failed && is_data(fd)) record('T', length, NULL, 0, 0);      \
        return failed;                                                    \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

static void synced(int fd) {
    if (is_data(fd)) record('S', 0, NULL, 0, 0);
    else if (kind(fd) == DIRECTORY) record('D', 0, NULL, 0, 0);
    else if (kind(fd) == PARENT) record('P', 0, NULL, 0, 0);
}

static int swallowed(int fd) {
    return (is_data(fd) && !strcmp(swallow, "sync"))
        || ((kind(fd) == DIRECTORY || kind(fd) == PARENT) && !strcmp(swallow, "names"));
}

#define SYNC(name)                          \
    int name(int fd) {                      \
        if (swallowed(fd)) return 0;        \
        int failed = REAL(name)(fd);        \
        if (!failed) synced(fd);            \
        return failed;                      \
    }
SYNC(fsync)
SYNC(fdatasync)

/* Through such a map it could write without being seen. */
#define MMAP(name, offset_type)                                                                      \
    void *name(void *at, size_t length, int protection, int flags, int fd, offset_type offset) {     \
        if (is_data(fd) && (protection & PROT_WRITE) && (flags & MAP_SHARED)) record('U', 0, NULL, 0, 0); \
        return REAL(name)(at, length, protection, flags, fd, offset);                                \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)
