/*
 * Loaded with LD_PRELOAD: makes the disk below a program slow. Reads that may wait for a disk, and syncs, sleep first;
 * what is asked for with RWF_NOWAIT is answered from page cache as always.
 *   SLOW_READ_US, SLOW_SYNC_US   how long, in microseconds
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void wait_us(const char *variable)
{
	const char *text = getenv(variable);
	long us = text ? atol(text) : 0;
	struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
	nanosleep(&pause, NULL);
}

ssize_t pread(int fd, void *to, size_t length, off_t at)
{
	wait_us("SLOW_READ_US");
	return REAL(pread)(fd, to, length, at);
}

ssize_t pread64(int fd, void *to, size_t length, off64_t at)
{
	wait_us("SLOW_READ_US");
	return REAL(pread64)(fd, to, length, at);
}

ssize_t preadv64(int fd, const struct iovec *to, int count, off64_t at)
{
	wait_us("SLOW_READ_US");
	return REAL(preadv64)(fd, to, count, at);
}

int fdatasync(int fd)
{
	wait_us("SLOW_SYNC_US");
	return REAL(fdatasync)(fd);
}

int fsync(int fd)
{
	wait_us("SLOW_SYNC_US");
	return REAL(fsync)(fd);
}
