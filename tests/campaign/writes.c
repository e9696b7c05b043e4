/* Loaded before libc (LD_PRELOAD): the Nth write below one folder fails, in whichever process of a run makes it.
 *
 * WRITES names a file of struct State that whoever arms it and all processes share. What counts as a write: making or emptying a
 * file, writing to it, giving it room, waiting for the disk, renaming it, making a folder. Rust, C++, sqlite and Python go by here.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, FULL_DISK, IO_ERROR, TORN, KILL };

struct State {
    int number; /* of the write that fails, from 1; 0: none */
    int fault;
    int count; /* writes so far */
    int hit;
    char what[192]; /* the call that failed and its file */
    char folder[192]; /* only what lies below it counts */
};

static struct State *state;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("WRITES");
    if (!file) return;
    int handle = open(file, O_RDWR | O_CLOEXEC);
    if (handle < 0) return;
    void *there = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
    close(handle);
    if (there != MAP_FAILED) state = there;
}

#define REAL(name) \
    static typeof(name) *real; \
    if (!real) real = (typeof(name) *)dlsym(RTLD_NEXT, #name);

/* Whether this write is the one that fails; 2: the half of its data goes out first. */
static int due(const char *call, const char *path, int data) {
    if (!state || !state->folder[0] || !path || strncmp(path, state->folder, strlen(state->folder))) return 0;
    if (state->fault == TORN && !data) return 0;
    if (__sync_add_and_fetch(&state->count, 1) != state->number) return 0;
    const char *name = strrchr(path, '/');
    snprintf(state->what, sizeof state->what, "%s %s", call, name ? name + 1 : path);
    state->hit = 1;
    if (state->fault == TORN) return 2;
    if (state->fault == KILL) kill(getpid(), SIGKILL);
    errno = state->fault == FULL_DISK ? ENOSPC : EIO;
    return 1;
}

static int due_at(const char *call, int handle, int data) {
    char link[40], path[4096];
    if (!state || !state->folder[0]) return 0;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return due(call, path, data);
}

static const char *full(const char *path, char *into) {
    if (path[0] == '/') return path;
    if (!getcwd(into, 2048)) return path;
    strncat(into, "/", 4095 - strlen(into));
    return strncat(into, path, 4095 - strlen(into));
}

static int opens(const char *path, int flags) {
    char into[4096];
    return (flags & (O_CREAT | O_TRUNC)) && due("open", full(path, into), 0);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) { MODE(flags) REAL(open) return opens(path, flags) ? -1 : real(path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) REAL(open64) return opens(path, flags) ? -1 : real(path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) REAL(openat) return opens(path, flags) ? -1 : real(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) REAL(openat64) return opens(path, flags) ? -1 : real(at, path, flags, mode); }

ssize_t write(int handle, const void *data, size_t size) {
    REAL(write)
    int now = due_at("write", handle, 1);
    if (now == 2) { if (size > 1) (void)!real(handle, data, size / 2); kill(getpid(), SIGKILL); }
    return now ? -1 : real(handle, data, size);
}
ssize_t pwrite(int handle, const void *data, size_t size, off_t at) {
    REAL(pwrite)
    int now = due_at("pwrite", handle, 1);
    if (now == 2) { if (size > 1) (void)!real(handle, data, size / 2, at); kill(getpid(), SIGKILL); }
    return now ? -1 : real(handle, data, size, at);
}
ssize_t pwrite64(int handle, const void *data, size_t size, off64_t at) {
    REAL(pwrite64)
    int now = due_at("pwrite", handle, 1);
    if (now == 2) { if (size > 1) (void)!real(handle, data, size / 2, at); kill(getpid(), SIGKILL); }
    return now ? -1 : real(handle, data, size, at);
}
ssize_t writev(int handle, const struct iovec *parts, int count) {
    REAL(writev)
    int now = due_at("writev", handle, 1);
    if (now == 2) { if (count > 1) (void)!real(handle, parts, count / 2); kill(getpid(), SIGKILL); }
    return now ? -1 : real(handle, parts, count);
}
ssize_t sendfile(int out, int in, off_t *at, size_t size);
ssize_t sendfile(int out, int in, off_t *at, size_t size) {
    REAL(sendfile)
    int now = due_at("sendfile", out, 1);
    if (now == 2) { (void)!real(out, in, at, size > 8192 ? 4096 : 16); kill(getpid(), SIGKILL); }
    return now ? -1 : real(out, in, at, size);
}
int rename(const char *from, const char *to) { REAL(rename) char into[4096]; return due("rename", full(to, into), 0) ? -1 : real(from, to); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat) char into[4096]; return due("rename", full(to, into), 0) ? -1 : real(a, from, b, to); }
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir)
    char into[4096];
    return access(path, F_OK) && due("mkdir", full(path, into), 0) ? -1 : real(path, mode); /* one that is there is no write */
}
int link(const char *from, const char *to) { REAL(link) char into[4096]; return due("link", full(to, into), 0) ? -1 : real(from, to); }
int fsync(int handle) { REAL(fsync) return due_at("fsync", handle, 0) ? -1 : real(handle); }
int fdatasync(int handle) { REAL(fdatasync) return due_at("fsync", handle, 0) ? -1 : real(handle); }
int ftruncate(int handle, off_t size) { REAL(ftruncate) return due_at("truncate", handle, 0) ? -1 : real(handle, size); }
int ftruncate64(int handle, off64_t size) { REAL(ftruncate64) return due_at("truncate", handle, 0) ? -1 : real(handle, size); }
int posix_fallocate(int handle, off_t at, off_t size) { REAL(posix_fallocate) return due_at("allocate", handle, 0) ? errno : real(handle, at, size); }
int posix_fallocate64(int handle, off64_t at, off64_t size) { REAL(posix_fallocate64) return due_at("allocate", handle, 0) ? errno : real(handle, at, size); }
