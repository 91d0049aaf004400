#define _GNU_SOURCE
#include "batched-socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FD_LIMIT 1024
#define BUFFER_BYTES (256u << 10)
/* Larger pieces go between the socket and their own memory without a copy. */
#define DIRECT_BYTES (32u << 10)

struct batched_socket {
	unsigned char in[BUFFER_BYTES];
	size_t in_at, in_end;
	unsigned char out[BUFFER_BYTES];
	size_t out_at, out_end;
};

static struct batched_socket *sockets[FD_LIMIT];

static struct batched_socket *find(int fd)
{
	return fd >= 0 && fd < FD_LIMIT ? sockets[fd] : NULL;
}

void batched_socket_attach(int fd)
{
	if (fd < 0 || fd >= FD_LIMIT || !(sockets[fd] = calloc(1, sizeof **sockets))) {
		fprintf(stderr, "load: cannot batch socket %d\n", fd);
		exit(1);
	}
}

void batched_socket_detach(int fd)
{
	free(sockets[fd]);
	sockets[fd] = NULL;
}

bool batched_socket_has_input(int fd)
{
	struct batched_socket *s = find(fd);
	return s && s->in_at < s->in_end;
}

bool batched_socket_flush(int fd)
{
	struct batched_socket *s = find(fd);
	if (!s)
		return true;
	while (s->out_at < s->out_end) {
		ssize_t sent = syscall(SYS_sendto, fd, s->out + s->out_at, s->out_end - s->out_at, 0, NULL, 0);
		if (sent < 0)
			return false;
		s->out_at += (size_t)sent;
	}
	s->out_at = s->out_end = 0;
	return true;
}

static ssize_t receive(int fd, void *to, size_t length, int flags)
{
	struct batched_socket *s = find(fd);
	if (!s)
		return syscall(SYS_recvfrom, fd, to, length, flags, NULL, NULL);
	if (s->in_at == s->in_end) {
		if (length >= DIRECT_BYTES)
			return syscall(SYS_recvfrom, fd, to, length, flags, NULL, NULL);
		ssize_t got = syscall(SYS_recvfrom, fd, s->in, BUFFER_BYTES, flags, NULL, NULL);
		if (got <= 0)
			return got;
		s->in_at = 0;
		s->in_end = (size_t)got;
	}
	size_t there = s->in_end - s->in_at;
	size_t taken = there < length ? there : length;
	memcpy(to, s->in + s->in_at, taken);
	s->in_at += taken;
	return (ssize_t)taken;
}

ssize_t recv(int fd, void *to, size_t length, int flags)
{
	return receive(fd, to, length, flags);
}

/* Collects, unless the piece is large or there is no room: then what was collected goes first. */
static ssize_t transmit(int fd, void *from, size_t length, int flags)
{
	struct batched_socket *s = find(fd);
	if (s && length < DIRECT_BYTES && length <= BUFFER_BYTES - s->out_end) {
		memcpy(s->out + s->out_end, from, length);
		s->out_end += length;
		return (ssize_t)length;
	}
	if (!batched_socket_flush(fd))
		return -1;
	return syscall(SYS_sendto, fd, from, length, flags, NULL, 0);
}

ssize_t send(int fd, const void *from, size_t length, int flags)
{
	return transmit(fd, (void *)from, length, flags);
}

/* One piece after the other, until one goes through in part only. */
static ssize_t for_each_piece(ssize_t (*one)(int, void *, size_t, int), int fd, const struct iovec *pieces, int count)
{
	ssize_t sum = 0;
	for (int i = 0; i < count; i++) {
		ssize_t moved = one(fd, pieces[i].iov_base, pieces[i].iov_len, 0);
		if (moved < 0)
			return sum > 0 ? sum : moved;
		sum += moved;
		if ((size_t)moved < pieces[i].iov_len)
			break;
	}
	return sum;
}

ssize_t readv(int fd, const struct iovec *pieces, int count)
{
	return find(fd) ? for_each_piece(receive, fd, pieces, count) : syscall(SYS_readv, fd, pieces, count);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
	return find(fd) ? for_each_piece(transmit, fd, pieces, count) : syscall(SYS_writev, fd, pieces, count);
}
