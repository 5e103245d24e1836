/* Preloaded into a program: strikes the Nth call that changes a file below one folder, and writes down where.
 *
 * Environment: FAULT_BELOW (absolute folder), FAULT_LOG (file outside of it), FAULT_CALLS (names between commas, or
 * "all"), FAULT_NTH (from 1; 0 strikes none), FAULT_HOW (see below), FAULT_ERRNO, FAULT_ONWARDS (every one from the Nth
 * on), FAULT_MATCH (a part that the path must have). Names are open, write, fsync, close, link, rename, unlink, mkdir
 * and rmdir. Of open only those count that can write or that open a folder to sync it. Counting is per process.
 *
 * FAULT_HOW: log (every call is written down, none is struck), fail (not done, the error is reported), replay (done, and
 * the error is reported all the same), short (half is written, and that is said), before, within and after (SIGKILL; for
 * a write, "within" is after its first half).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { FDS = 4096 };
enum how { NOT_STRUCK, FAIL, REPLAY, SHORT, BEFORE, WITHIN, AFTER };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[FDS]; /* of the files and folders below FAULT_BELOW that are open */
static int armed;
static const char *below, *log_path, *calls, *match;
static enum how how;
static int log_all, error_number, onwards;
static long nth, seen;

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value && *value ? strdup(value) : NULL;
}

static long number(const char *name) {
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

/* Read the environment again and count from 0: a child calls it after it was forked. */
void fault_arm(void) {
    static const char *names[] = {"", "fail", "replay", "short", "before", "within", "after"};
    const char *said = setting("FAULT_HOW");
    size_t i;
    below = setting("FAULT_BELOW");
    log_path = setting("FAULT_LOG");
    calls = setting("FAULT_CALLS");
    match = setting("FAULT_MATCH");
    nth = number("FAULT_NTH");
    error_number = (int)number("FAULT_ERRNO");
    onwards = number("FAULT_ONWARDS") != 0;
    how = NOT_STRUCK;
    for (i = 1; said && i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(said, names[i])) how = (enum how)i;
    log_all = said && !strcmp(said, "log");
    seen = 0;
    armed = 1;
}

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static void note(long count, const char *name, const char *path) {
    int (*real_open)(const char *, int, ...) = (int (*)(const char *, int, ...))real("open");
    ssize_t (*real_write)(int, const void *, size_t) = (ssize_t(*)(int, const void *, size_t))real("write");
    int (*real_close)(int) = (int (*)(int))real("close");
    char line[PATH_MAX + 64];
    int log, length = snprintf(line, sizeof line, "%ld %s %s\n", count, name, path);
    if (!log_path) return;
    log = real_open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return;
    if (real_write(log, line, (size_t)length) != length) abort();
    real_close(log);
}

static int is_below(const char *path) {
    size_t length = below ? strlen(below) : 0;
    return length && !strncmp(path, below, length) && (path[length] == '/' || !path[length]);
}

static int is_asked_for(const char *name) {
    const char *at = calls;
    size_t length = strlen(name);
    if (!calls || !strcmp(calls, "all")) return 1;
    for (; (at = strstr(at, name)); at += length)
        if ((at == calls || at[-1] == ',') && (at[length] == ',' || !at[length])) return 1;
    return 0;
}

/* Whether and how this call is struck; keeps count. */
static enum how consider(const char *name, const char *path) {
    enum how answer = NOT_STRUCK;
    int saved = errno;
    pthread_mutex_lock(&lock);
    if (!armed) fault_arm();
    if (path && is_below(path) && is_asked_for(name) && (!match || strstr(path, match))) {
        seen++;
        if (log_all) note(seen, name, path);
        if (how && nth && (seen == nth || (onwards && seen > nth))) {
            note(seen, name, path);
            answer = how;
        }
    }
    pthread_mutex_unlock(&lock);
    if (answer == BEFORE) kill(getpid(), SIGKILL);
    errno = saved;
    return answer;
}

/* After the call: the result that the program gets. */
static long outcome(enum how struck, long result) {
    if (struck == AFTER || struck == WITHIN) kill(getpid(), SIGKILL);
    if (struck != REPLAY) return result;
    errno = error_number;
    return -1;
}

static int refused(enum how struck) {
    if (struck == FAIL) errno = error_number;
    return struck == FAIL;
}

/* The path of a call as an absolute one, NULL if it cannot be known. */
static const char *absolute(int folder, const char *path, char *into) {
    char here[PATH_MAX], link[64];
    ssize_t length;
    if (!path || path[0] == '/') return path;
    if (folder == AT_FDCWD) {
        if (!getcwd(here, sizeof here)) return NULL;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        if ((length = readlink(link, here, sizeof here - 1)) < 0) return NULL;
        here[length] = 0;
    }
    return snprintf(into, PATH_MAX, "%s/%s", here, path) < PATH_MAX ? into : NULL;
}

static const char *path_of(int fd) { return fd >= 0 && fd < FDS ? paths[fd] : NULL; }

static void keep(int fd, const char *path) {
    if (fd < 0 || fd >= FDS) return;
    free(paths[fd]);
    paths[fd] = path ? strdup(path) : NULL;
}

static int open_by(const char *symbol, int folder, const char *path, int flags, mode_t mode) {
    int (*real_openat)(int, const char *, int, ...) = (int (*)(int, const char *, int, ...))real(symbol);
    char room[PATH_MAX];
    const char *whole = absolute(folder, path, room);
    int changes = (flags & (O_WRONLY | O_RDWR | O_CREAT | O_DIRECTORY)) != 0, fd;
    enum how struck = changes ? consider("open", whole) : NOT_STRUCK;
    if (refused(struck)) return -1;
    fd = real_openat(folder, path, flags, mode);
    if (fd >= 0) keep(fd, changes && whole && is_below(whole) ? whole : NULL);
    if (struck == REPLAY && fd >= 0) {
        int (*real_close)(int) = (int (*)(int))real("close");
        real_close(fd);
        keep(fd, NULL);
    }
    return (int)outcome(struck, fd);
}

#define MODE(flags, last)                               \
    mode_t mode = 0;                                    \
    va_list rest;                                       \
    va_start(rest, last);                               \
    if ((flags) & O_CREAT) mode = va_arg(rest, mode_t); \
    va_end(rest)

int open(const char *path, int flags, ...) {
    MODE(flags, flags);
    return open_by("openat", AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, flags);
    return open_by("openat64", AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(flags, flags);
    return open_by("openat", folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags, flags);
    return open_by("openat64", folder, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t (*real_write)(int, const void *, size_t) = (ssize_t(*)(int, const void *, size_t))real("write");
    enum how struck = consider("write", path_of(fd));
    if (refused(struck)) return -1;
    if ((struck == SHORT || struck == WITHIN) && size > 1) size /= 2;
    return outcome(struck, real_write(fd, data, size));
}

static int sync_by(const char *symbol, int fd) {
    int (*real_sync)(int) = (int (*)(int))real(symbol);
    enum how struck = consider("fsync", path_of(fd));
    return refused(struck) ? -1 : (int)outcome(struck, real_sync(fd));
}

int fsync(int fd) { return sync_by("fsync", fd); }

int fdatasync(int fd) { return sync_by("fdatasync", fd); }

/* Linux lets go of the descriptor whatever close(2) reports, so a failed one is done as well. */
int close(int fd) {
    int (*real_close)(int) = (int (*)(int))real("close");
    enum how struck = consider("close", path_of(fd));
    int result;
    keep(fd, NULL);
    result = real_close(fd);
    return refused(struck) ? -1 : (int)outcome(struck, result);
}

#define NAMED(name, folder, path, call)                       \
    char room[PATH_MAX];                                      \
    enum how struck = consider(name, absolute(folder, path, room)); \
    return refused(struck) ? -1 : (int)outcome(struck, call)

int link(const char *from, const char *to) {
    int (*real_link)(const char *, const char *) = (int (*)(const char *, const char *))real("link");
    NAMED("link", AT_FDCWD, to, real_link(from, to));
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    int (*real_linkat)(int, const char *, int, const char *, int) =
        (int (*)(int, const char *, int, const char *, int))real("linkat");
    NAMED("link", to_folder, to, real_linkat(from_folder, from, to_folder, to, flags));
}

int rename(const char *from, const char *to) {
    int (*real_rename)(const char *, const char *) = (int (*)(const char *, const char *))real("rename");
    NAMED("rename", AT_FDCWD, to, real_rename(from, to));
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    int (*real_renameat)(int, const char *, int, const char *) =
        (int (*)(int, const char *, int, const char *))real("renameat");
    NAMED("rename", to_folder, to, real_renameat(from_folder, from, to_folder, to));
}

int unlink(const char *path) {
    int (*real_unlink)(const char *) = (int (*)(const char *))real("unlink");
    NAMED("unlink", AT_FDCWD, path, real_unlink(path));
}

int unlinkat(int folder, const char *path, int flags) {
    int (*real_unlinkat)(int, const char *, int) = (int (*)(int, const char *, int))real("unlinkat");
    NAMED("unlink", folder, path, real_unlinkat(folder, path, flags));
}

int mkdir(const char *path, mode_t mode) {
    int (*real_mkdir)(const char *, mode_t) = (int (*)(const char *, mode_t))real("mkdir");
    NAMED("mkdir", AT_FDCWD, path, real_mkdir(path, mode));
}

int mkdirat(int folder, const char *path, mode_t mode) {
    int (*real_mkdirat)(int, const char *, mode_t) = (int (*)(int, const char *, mode_t))real("mkdirat");
    NAMED("mkdir", folder, path, real_mkdirat(folder, path, mode));
}

int rmdir(const char *path) {
    int (*real_rmdir)(const char *) = (int (*)(const char *))real("rmdir");
    NAMED("rmdir", AT_FDCWD, path, real_rmdir(path));
}
