// Records everything a process does to the files below one directory, in one global order, so that a test can
// build the disk as a power cut at any moment might have left it. Loaded with LD_PRELOAD.
//   RECORDER_ROOT     the directory, as realpath(3) gives it
//   RECORDER_LOG      the log, appended to; its layout is record-log.ts
//   RECORDER_BOOT_ID  served instead of /proc/sys/kernel/random/boot_id
//   RECORDER_FAIL_SYNCS  a path: while something is there, syncs of files below the directory end with EIO
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
  KIND_CREATE = 1,
  KIND_MKDIR,
  KIND_WRITE,
  KIND_TRUNCATE,
  KIND_FALLOCATE,
  KIND_SYNC_BEGIN,
  KIND_SYNC_END,
  KIND_RENAME,
  KIND_UNLINK,
};

enum { FLAG_SYNCHRONOUS = 1, FDS_MAX = 4096 };

struct entry {
  uint32_t kind;
  uint32_t flags;
  uint64_t inode;
  uint64_t offset;
  uint64_t length;
  uint32_t thread;
  uint32_t payload_bytes;
};

// An fd is ours while it still shows the inode it was opened on: closes are not followed.
struct tracked {
  ino_t inode;
  dev_t device;
  int flags;
};

static const char BOOT_ID[] = "/proc/sys/kernel/random/boot_id";
static struct tracked fds[FDS_MAX];
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *root;
static const char *fail_syncs;
static size_t root_length;
static int log_fd = -1;

static void start(void) {
  root = getenv("RECORDER_ROOT");
  const char *path = getenv("RECORDER_LOG");
  fail_syncs = getenv("RECORDER_FAIL_SYNCS");
  if (root == NULL || path == NULL) return;
  root_length = strlen(root);
  log_fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void append(enum kind kind, uint32_t flags, ino_t inode, uint64_t offset, uint64_t length,
                   const struct iovec *payload, int count, size_t payload_bytes) {
  struct entry entry = {kind, flags, inode, offset, length, (uint32_t)syscall(SYS_gettid), payload_bytes};
  struct iovec parts[count + 1];
  parts[0] = (struct iovec){&entry, sizeof entry};
  size_t left = payload_bytes;
  int used = 1;
  for (int i = 0; i < count && left > 0; i++) {
    size_t take = payload[i].iov_len < left ? payload[i].iov_len : left;
    parts[used++] = (struct iovec){payload[i].iov_base, take};
    left -= take;
  }
  size_t total = sizeof entry + payload_bytes;
  if (syscall(SYS_writev, log_fd, parts, used) != (ssize_t)total) {
    static const char says[] = "recorder: the log cannot be written\n";
    syscall(SYS_write, 2, says, sizeof says - 1);
    _exit(97);
  }
}

static int is_below_root(const char *path) {
  return log_fd >= 0 && strncmp(path, root, root_length) == 0 && path[root_length] == '/';
}

static const struct tracked *tracked(int fd) {
  if (log_fd < 0 || fd < 0 || fd >= FDS_MAX || fds[fd].inode == 0) return NULL;
  struct stat now;
  if (fstat(fd, &now) != 0 || now.st_ino != fds[fd].inode || now.st_dev != fds[fd].device) return NULL;
  return &fds[fd];
}

static void append_path(enum kind kind, ino_t inode, const char *path, const char *other) {
  struct iovec parts[3] = {{(void *)path, strlen(path)}, {(void *)"", 1}, {(void *)other, other ? strlen(other) : 0}};
  size_t bytes = parts[0].iov_len + (other ? 1 + parts[2].iov_len : 0);
  append(kind, 0, inode, 0, 0, parts, other ? 3 : 1, bytes);
}

// The name of an entry without following it: its directory is resolved, its last part is not.
static int resolve(int at, const char *path, char *into) {
  char parent[PATH_MAX], whole[PATH_MAX];
  if (path[0] == '/' || at == AT_FDCWD) {
    snprintf(whole, sizeof whole, "%s", path);
  } else {
    char link[64], base[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return 0;
    base[length] = 0;
    if (snprintf(whole, sizeof whole, "%s/%s", base, path) >= (int)sizeof whole) return 0;
  }
  size_t end = strlen(whole);
  while (end > 1 && whole[end - 1] == '/') whole[--end] = 0;
  char *slash = strrchr(whole, '/');
  const char *name = slash == NULL ? whole : slash + 1;
  if (slash == NULL) {
    if (realpath(".", parent) == NULL) return 0;
  } else {
    *slash = 0;
    if (realpath(slash == whole ? "/" : whole, parent) == NULL) return 0;
  }
  return snprintf(into, PATH_MAX, "%s/%s", parent, name) < PATH_MAX && is_below_root(into);
}

static int serve_boot_id(void) {
  const char *boot_id = getenv("RECORDER_BOOT_ID");
  if (boot_id == NULL) return -1;
  int fd = memfd_create("boot_id", MFD_CLOEXEC);
  if (fd < 0) return -1;
  dprintf(fd, "%s\n", boot_id);
  lseek(fd, 0, SEEK_SET);
  return fd;
}

static int record_open(int at, const char *path, int flags, mode_t mode) {
  if (strcmp(path, BOOT_ID) == 0) {
    int fd = serve_boot_id();
    if (fd >= 0) return fd;
  }
  char name[PATH_MAX];
  if (log_fd < 0 || !resolve(at, path, name)) return syscall(SYS_openat, at, path, flags, mode);
  pthread_mutex_lock(&order);
  struct stat before, now;
  int existed = stat(name, &before) == 0;
  int fd = syscall(SYS_openat, at, path, flags, mode);
  int failed = errno;
  if (fd >= 0 && fd < FDS_MAX && fstat(fd, &now) == 0) {
    fds[fd] = (struct tracked){now.st_ino, now.st_dev, flags};
    if (!existed) append_path(KIND_CREATE, now.st_ino, name, NULL);
    else if ((flags & O_TRUNC) && before.st_size > 0) append(KIND_TRUNCATE, 0, now.st_ino, 0, 0, NULL, 0, 0);
  }
  pthread_mutex_unlock(&order);
  errno = failed;
  return fd;
}

#define OPEN_MODE(flags, last)                                  \
  mode_t mode = 0;                                              \
  if ((flags) & (O_CREAT | O_TMPFILE)) {                        \
    va_list more;                                               \
    va_start(more, last);                                       \
    mode = va_arg(more, mode_t);                                \
    va_end(more);                                               \
  }                                                             \
  pthread_once(&once, start)

int open(const char *path, int flags, ...) {
  OPEN_MODE(flags, flags);
  return record_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  OPEN_MODE(flags, flags);
  return record_open(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...) {
  OPEN_MODE(flags, flags);
  return record_open(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...) {
  OPEN_MODE(flags, flags);
  return record_open(at, path, flags, mode);
}

int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

// `offset` < 0: at the file's own position.
static ssize_t record_write(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
  const struct tracked *file = tracked(fd);
  if (file == NULL) {
    return offset < 0 ? syscall(SYS_writev, fd, parts, count)
                      : syscall(SYS_pwritev2, fd, parts, count, (long)offset, 0L, flags);
  }
  pthread_mutex_lock(&order);
  uint64_t at = offset;
  struct stat now;
  if (offset < 0) {
    at = (file->flags & O_APPEND) && fstat(fd, &now) == 0 ? now.st_size : lseek(fd, 0, SEEK_CUR);
  }
  ssize_t written = offset < 0 ? syscall(SYS_writev, fd, parts, count)
                               : syscall(SYS_pwritev2, fd, parts, count, (long)offset, 0L, flags);
  int failed = errno;
  int synchronous = (file->flags & O_DSYNC) || (flags & RWF_DSYNC);
  if (written > 0) {
    append(KIND_WRITE, synchronous ? FLAG_SYNCHRONOUS : 0, file->inode, at, written, parts, count, written);
  }
  pthread_mutex_unlock(&order);
  errno = failed;
  return written;
}

#define ONE_PART struct iovec part = {(void *)data, length}; pthread_once(&once, start)

ssize_t write(int fd, const void *data, size_t length) {
  ONE_PART;
  if (tracked(fd) == NULL) return syscall(SYS_write, fd, data, length);
  return record_write(fd, &part, 1, -1, 0);
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
  ONE_PART;
  if (tracked(fd) == NULL) return syscall(SYS_pwrite64, fd, data, length, offset);
  return record_write(fd, &part, 1, offset, 0);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return pwrite(fd, data, length, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
  pthread_once(&once, start);
  return record_write(fd, parts, count, -1, 0);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  pthread_once(&once, start);
  return record_write(fd, parts, count, offset, 0);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  return pwritev(fd, parts, count, offset);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags) {
  pthread_once(&once, start);
  return record_write(fd, parts, count, offset, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t offset, int flags) {
  return pwritev2(fd, parts, count, offset, flags);
}

int ftruncate(int fd, off_t length) {
  pthread_once(&once, start);
  const struct tracked *file = tracked(fd);
  if (file == NULL) return syscall(SYS_ftruncate, fd, length);
  pthread_mutex_lock(&order);
  int result = syscall(SYS_ftruncate, fd, length);
  if (result == 0) append(KIND_TRUNCATE, 0, file->inode, 0, length, NULL, 0, 0);
  pthread_mutex_unlock(&order);
  return result;
}
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
  pthread_once(&once, start);
  const struct tracked *file = tracked(fd);
  if (file == NULL) return syscall(SYS_fallocate, fd, mode, offset, length);
  pthread_mutex_lock(&order);
  int result = syscall(SYS_fallocate, fd, mode, offset, length);
  int failed = errno;
  if (result == 0) append(KIND_FALLOCATE, mode, file->inode, offset, length, NULL, 0, 0);
  pthread_mutex_unlock(&order);
  errno = failed;
  return result;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

// Begin and end are two entries: what is written between them is not covered.
static int record_sync(int fd, long number) {
  pthread_once(&once, start);
  struct stat now;
  const struct tracked *file = tracked(fd);
  if (file == NULL || fstat(fd, &now) != 0) return syscall(number, fd);
  ino_t inode = now.st_ino;
  // The root was there before the record: only its path says which directory this is.
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = S_ISDIR(now.st_mode) ? readlink(link, path, sizeof path) : 0;
  if (length < 0) length = 0;
  struct iovec name = {path, length};
  pthread_mutex_lock(&order);
  append(KIND_SYNC_BEGIN, 0, inode, 0, 0, &name, 1, length);
  pthread_mutex_unlock(&order);
  int result = -1, failed = EIO;
  if (fail_syncs == NULL || access(fail_syncs, F_OK) != 0) {
    result = syscall(number, fd);
    failed = errno;
  }
  if (result == 0) {
    pthread_mutex_lock(&order);
    append(KIND_SYNC_END, 0, inode, 0, 0, &name, 1, length);
    pthread_mutex_unlock(&order);
  }
  errno = failed;
  return result;
}
int fsync(int fd) { return record_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return record_sync(fd, SYS_fdatasync); }

int mkdirat(int at, const char *path, mode_t mode) {
  pthread_once(&once, start);
  char name[PATH_MAX];
  if (log_fd < 0 || !resolve(at, path, name)) return syscall(SYS_mkdirat, at, path, mode);
  pthread_mutex_lock(&order);
  int result = syscall(SYS_mkdirat, at, path, mode);
  int failed = errno;
  struct stat now;
  if (result == 0 && stat(name, &now) == 0) append_path(KIND_MKDIR, now.st_ino, name, NULL);
  pthread_mutex_unlock(&order);
  errno = failed;
  return result;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int renameat(int from_at, const char *from, int to_at, const char *to) {
  pthread_once(&once, start);
  char old[PATH_MAX], new[PATH_MAX];
  if (log_fd < 0 || !resolve(from_at, from, old) || !resolve(to_at, to, new)) {
    return syscall(SYS_renameat, from_at, from, to_at, to);
  }
  pthread_mutex_lock(&order);
  int result = syscall(SYS_renameat, from_at, from, to_at, to);
  int failed = errno;
  if (result == 0) append_path(KIND_RENAME, 0, old, new);
  pthread_mutex_unlock(&order);
  errno = failed;
  return result;
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int unlinkat(int at, const char *path, int flags) {
  pthread_once(&once, start);
  char name[PATH_MAX];
  if (log_fd < 0 || !resolve(at, path, name)) return syscall(SYS_unlinkat, at, path, flags);
  pthread_mutex_lock(&order);
  int result = syscall(SYS_unlinkat, at, path, flags);
  int failed = errno;
  if (result == 0) append_path(KIND_UNLINK, 0, name, NULL);
  pthread_mutex_unlock(&order);
  errno = failed;
  return result;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
