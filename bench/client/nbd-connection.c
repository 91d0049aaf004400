#define _GNU_SOURCE
#include "nbd-connection.h"
#include "run.h"

#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The document's own names, without NBD_. */
#define OPTION_MAGIC 0x49484156454f5054ull
#define OPTION_REPLY_MAGIC 0x3e889045565a9ull
#define REQUEST_MAGIC 0x25609513u
#define SIMPLE_REPLY_MAGIC 0x67446698u
#define STRUCTURED_REPLY_MAGIC 0x668e33efu
#define OPT_GO 7
#define OPT_STRUCTURED_REPLY 8
#define REP_ACK 1
#define REP_INFO 3
#define REPLY_FLAG_DONE 1
#define REPLY_TYPE_ERROR_BIT 0x8000
#define GREETING_BYTES 18
#define OPTION_REPLY_BYTES 20
#define SIMPLE_REPLY_BYTES 16
#define STRUCTURED_REPLY_BYTES 20
#define CLIENT_FLAGS 3 /* fixed newstyle, no zeroes */
#define NAME_BYTES_MAX 256

static uint16_t get16(const unsigned char *at)
{
	uint16_t value;
	memcpy(&value, at, sizeof value);
	return be16toh(value);
}

static uint32_t get32(const unsigned char *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof value);
	return be32toh(value);
}

static uint64_t get64(const unsigned char *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof value);
	return be64toh(value);
}

static unsigned char *put16(unsigned char *at, uint16_t value)
{
	value = htobe16(value);
	return (unsigned char *)memcpy(at, &value, sizeof value) + sizeof value;
}

static unsigned char *put32(unsigned char *at, uint32_t value)
{
	value = htobe32(value);
	return (unsigned char *)memcpy(at, &value, sizeof value) + sizeof value;
}

static unsigned char *put64(unsigned char *at, uint64_t value)
{
	value = htobe64(value);
	return (unsigned char *)memcpy(at, &value, sizeof value) + sizeof value;
}

static void send_all(int fd, const unsigned char *bytes, size_t length)
{
	if (send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
		die("the handshake cannot be sent", strerror(errno));
}

static void receive_all(int fd, unsigned char *bytes, size_t length)
{
	/* Asked for no bytes, recv() waits for one. */
	if (length > 0 && recv(fd, bytes, length, MSG_WAITALL) != (ssize_t)length)
		die("the handshake broke off", strerror(errno));
}

/* Sends one option and takes its replies until the last. False when the server does not know it. */
static bool negotiate(struct nbd_connection *c, uint32_t option, const unsigned char *data, uint32_t length)
{
	unsigned char message[16 + 6 + NAME_BYTES_MAX], reply[OPTION_REPLY_BYTES], payload[4096];
	unsigned char *end = put32(put32(put64(message, OPTION_MAGIC), option), length);
	memcpy(end, data, length);
	send_all(c->fd, message, (size_t)(end - message) + length);
	for (;;) {
		receive_all(c->fd, reply, sizeof reply);
		uint32_t type = get32(reply + 12), bytes = get32(reply + 16);
		if (get64(reply) != OPTION_REPLY_MAGIC || bytes > sizeof payload)
			die("bad handshake", "this is no reply to an option");
		receive_all(c->fd, payload, bytes);
		if (type == REP_INFO && bytes >= 12 && get16(payload) == 0)
			c->export_bytes = get64(payload + 2);
		if (type != REP_INFO)
			return type == REP_ACK;
	}
}

static int connect_to(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	int failed = getaddrinfo(host, port, &hints, &found);
	if (failed)
		die(host, gai_strerror(failed));
	int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
		die("cannot connect", strerror(errno));
	freeaddrinfo(found);
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

void nbd_connect(struct nbd_connection *c, const char *url)
{
	char host[128], port[8], name[NAME_BYTES_MAX] = "";
	if (sscanf(url, "nbd://%127[^:/]:%7[0-9]/%255s", host, port, name) < 2)
		die("bad address", url);
	c->fd = connect_to(host, port);
	unsigned char greeting[GREETING_BYTES], flags[4];
	receive_all(c->fd, greeting, sizeof greeting);
	if (get64(greeting + 8) != OPTION_MAGIC)
		die("bad handshake", "the server does not speak newstyle");
	put32(flags, get16(greeting + 16) & CLIENT_FLAGS);
	send_all(c->fd, flags, sizeof flags);
	negotiate(c, OPT_STRUCTURED_REPLY, NULL, 0);
	unsigned char go[6 + NAME_BYTES_MAX];
	unsigned char *at = put32(go, (uint32_t)strlen(name));
	memcpy(at, name, strlen(name));
	at = put16(at + strlen(name), 0);
	if (!negotiate(c, OPT_GO, go, (uint32_t)(at - go)))
		die("the export is refused", name);
}

void nbd_put_request(unsigned char *header, int command, int flags, uint64_t cookie, uint64_t offset, uint32_t length)
{
	unsigned char *at = put16(put16(put32(header, REQUEST_MAGIC), (uint16_t)flags), (uint16_t)command);
	put32(put64(put64(at, cookie), offset), length);
}

void nbd_queue(struct nbd_connection *c, const void *bytes, size_t length)
{
	if (c->out_first == c->out_end)
		c->out_first = c->out_end = 0;
	if (c->out_end == (int)(sizeof c->out / sizeof *c->out)) {
		memmove(c->out, c->out + c->out_first, sizeof *c->out * (size_t)(c->out_end - c->out_first));
		c->out_end -= c->out_first;
		c->out_first = 0;
	}
	c->out[c->out_end++] = (struct iovec){.iov_base = (void *)bytes, .iov_len = length};
}

bool nbd_flush(struct nbd_connection *c)
{
	while (c->out_first < c->out_end) {
		struct msghdr message = {.msg_iov = c->out + c->out_first,
					 .msg_iovlen = (size_t)(c->out_end - c->out_first)};
		ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno == EAGAIN)
			return false;
		if (sent < 0)
			die("connection lost", strerror(errno));
		while (c->out_first < c->out_end && (size_t)sent >= c->out[c->out_first].iov_len)
			sent -= (ssize_t)c->out[c->out_first++].iov_len;
		if (sent > 0) {
			struct iovec *partly = &c->out[c->out_first];
			partly->iov_base = (unsigned char *)partly->iov_base + sent;
			partly->iov_len -= (size_t)sent;
		}
	}
	return true;
}

/* Takes one reply header, or one chunk's; answers its length, 0 when it is not all there. */
static size_t take_header(struct nbd_connection *c, const unsigned char *at, size_t there)
{
	if (there < SIMPLE_REPLY_BYTES)
		return 0;
	c->data_cookie = get64(at + 8);
	if (get32(at) == SIMPLE_REPLY_MAGIC) {
		if (get32(at + 4) != 0)
			die("a request failed", "the server answered an error");
		c->data_left = c->data_cookie & NBD_COOKIE_READS ? run.options.block_bytes : 0;
		c->data_is_last = true;
		return SIMPLE_REPLY_BYTES;
	}
	if (get32(at) != STRUCTURED_REPLY_MAGIC)
		die("bad stream", "this is no reply");
	if (there < STRUCTURED_REPLY_BYTES)
		return 0;
	if (get16(at + 6) & REPLY_TYPE_ERROR_BIT)
		die("a request failed", "the server answered an error");
	c->data_left = get32(at + 16);
	c->data_is_last = get16(at + 4) & REPLY_FLAG_DONE;
	return STRUCTURED_REPLY_BYTES;
}

/* Handles what was received; answers how much of it is done with. */
static size_t take(struct nbd_connection *c, void (*answered)(uint64_t cookie))
{
	size_t at = 0;
	for (;;) {
		size_t skipped = c->in_end - at < c->data_left ? c->in_end - at : c->data_left;
		at += skipped;
		c->data_left -= skipped;
		if (c->data_left > 0)
			return at;
		if (c->data_is_last)
			answered(c->data_cookie);
		c->data_is_last = false;
		size_t header = take_header(c, c->in + at, c->in_end - at);
		if (header == 0) {
			c->data_left = 0;
			return at;
		}
		at += header;
	}
}

void nbd_receive(struct nbd_connection *c, bool wait, void (*answered)(uint64_t cookie))
{
	ssize_t got = recv(c->fd, c->in + c->in_end, sizeof c->in - c->in_end, wait ? 0 : MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
		die("connection lost", got < 0 ? strerror(errno) : "the server closed it");
	c->in_end += (size_t)got;
	size_t done = take(c, answered);
	memmove(c->in, c->in + done, c->in_end - done);
	c->in_end -= done;
}
