#define _GNU_SOURCE
#include "echo-server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 512
#define EVENTS_MAX 64
/* The longest reply that echo_reply() is given. */
#define REPLY_BYTES_MAX 4096

static const struct echo_protocol *protocol;
static unsigned char *data;

uint64_t get_be(const unsigned char *at, int bytes)
{
	uint64_t value = 0;
	for (int i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

void put_be(unsigned char *at, int bytes, uint64_t value)
{
	for (int i = bytes - 1; i >= 0; i--, value >>= 8)
		at[i] = (unsigned char)value;
}

static void die(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

void echo_reply(struct echo_connection *c, const void *bytes, size_t length)
{
	unsigned char *to = c->replies + c->replies_end;
	memcpy(to, bytes, length);
	c->replies_end += length;
	c->out[c->out_end++] = (struct iovec){.iov_base = to, .iov_len = length};
}

void echo_data(struct echo_connection *c, size_t length)
{
	if (length > ECHO_DATA_BYTES)
		c->closing = true;
	else if (length > 0)
		c->out[c->out_end++] = (struct iovec){.iov_base = data, .iov_len = length};
}

static bool has_room(const struct echo_connection *c)
{
	return c->out_end + protocol->pieces_max <= ECHO_OUT_PIECES &&
	       c->replies_end + REPLY_BYTES_MAX <= ECHO_REPLIES_BYTES;
}

/* Handles what has come; false when it stopped for want of room for replies. */
static bool handle_input(struct echo_connection *c)
{
	while (!c->closing) {
		if (!has_room(c))
			return false;
		size_t there = c->in_end - c->in_at;
		if (c->skip > 0) {
			size_t dropped = there < c->skip ? there : c->skip;
			c->in_at += dropped;
			c->skip -= dropped;
			if (c->skip > 0)
				break;
			protocol->skipped(c);
			continue;
		}
		size_t taken = protocol->take(c, c->in + c->in_at, there);
		if (taken == 0)
			break;
		c->in_at += taken;
	}
	return true;
}

/* Lets go of what the kernel has taken. */
static void advance(struct echo_connection *c, size_t sent)
{
	while (c->out_first < c->out_end && sent >= c->out[c->out_first].iov_len)
		sent -= c->out[c->out_first++].iov_len;
	if (c->out_first == c->out_end) {
		c->out_first = c->out_end = 0;
		c->replies_end = 0;
		return;
	}
	struct iovec *partly = &c->out[c->out_first];
	partly->iov_base = (unsigned char *)partly->iov_base + sent;
	partly->iov_len -= sent;
}

static void flush(struct echo_connection *c)
{
	while (c->out_first < c->out_end) {
		struct msghdr message = {.msg_iov = c->out + c->out_first,
					 .msg_iovlen = (size_t)(c->out_end - c->out_first)};
		ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0) {
			c->closing = c->closing || errno != EAGAIN;
			return;
		}
		advance(c, (size_t)sent);
	}
}

static void receive(struct echo_connection *c)
{
	if (c->in_at > 0) {
		memmove(c->in, c->in + c->in_at, c->in_end - c->in_at);
		c->in_end -= c->in_at;
		c->in_at = 0;
	}
	if (c->in_end == ECHO_IN_BYTES)
		return;
	ssize_t got = recv(c->fd, c->in + c->in_end, ECHO_IN_BYTES - c->in_end, MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno != EAGAIN))
		c->closing = true;
	else if (got > 0)
		c->in_end += (size_t)got;
}

static void turn(struct echo_connection *c, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		receive(c);
	bool done;
	do {
		done = handle_input(c);
		flush(c);
	} while (!done && !c->closing && c->out_end == 0);
}

static void watch(int epoll, struct echo_connection *c, int operation)
{
	struct epoll_event event = {.data.ptr = c, .events = 0};
	if (has_room(c))
		event.events |= EPOLLIN;
	if (c->out_first < c->out_end)
		event.events |= EPOLLOUT;
	if (epoll_ctl(epoll, operation, c->fd, &event) != 0)
		die("epoll_ctl");
}

static void accept_one(int epoll, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		die("accept");
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	struct echo_connection *c = calloc(1, sizeof *c);
	if (!c || !(c->state = calloc(1, protocol->state_bytes)))
		die("out of memory");
	c->fd = fd;
	if (protocol->greet)
		protocol->greet(c);
	flush(c);
	watch(epoll, c, EPOLL_CTL_ADD);
}

static int listen_on(const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(port)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG) != 0)
		die("cannot listen");
	return fd;
}

void echo_serve(const char *port, const struct echo_protocol *served)
{
	protocol = served;
	data = malloc(ECHO_DATA_BYTES);
	if (!data)
		die("out of memory");
	memset(data, 'h', ECHO_DATA_BYTES);
	int listener = listen_on(port), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS_MAX];
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
		die("epoll_ctl");
	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
		for (int i = 0; i < count; i++) {
			struct echo_connection *c = events[i].data.ptr;
			if (!c) {
				accept_one(epoll, listener);
				continue;
			}
			turn(c, events[i].events);
			if (!c->closing) {
				watch(epoll, c, EPOLL_CTL_MOD);
				continue;
			}
			close(c->fd);
			free(c->state);
			free(c);
		}
	}
}
