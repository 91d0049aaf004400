/*
 * What a server costs that does nothing: one thread, one epoll, a protocol that answers from memory and drops what is
 * written. As good as a server on this machine could get, and the limit that the bench shows beside every figure.
 */
#ifndef HOLDFAST_BENCH_ECHO_SERVER_H
#define HOLDFAST_BENCH_ECHO_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define ECHO_IN_BYTES (256u << 10)
#define ECHO_REPLIES_BYTES (64u << 10)
#define ECHO_OUT_PIECES 1024
/* Reads larger than this are refused by closing the connection. */
#define ECHO_DATA_BYTES (16u << 20)

struct echo_connection {
	int fd;
	bool closing;
	size_t in_at, in_end;
	/* Bytes of payload that are to be dropped before the next message. */
	uint64_t skip;
	int out_first, out_end;
	size_t replies_end;
	struct iovec out[ECHO_OUT_PIECES];
	unsigned char in[ECHO_IN_BYTES];
	unsigned char replies[ECHO_REPLIES_BYTES];
	/* The protocol's own. */
	void *state;
};

struct echo_protocol {
	size_t state_bytes;
	/* Output pieces that one message may ask for at most. */
	int pieces_max;
	void (*greet)(struct echo_connection *c);
	/* Takes one message from its beginning; answers its length without payload, 0 when it is not all there. */
	size_t (*take)(struct echo_connection *c, const unsigned char *at, size_t there);
	/* The payload that was to be dropped has come. */
	void (*skipped)(struct echo_connection *c);
};

/* Queues a copy of bytes. */
void echo_reply(struct echo_connection *c, const void *bytes, size_t length);
/* Queues `length` bytes of anything. */
void echo_data(struct echo_connection *c, size_t length);
/* Serves 127.0.0.1:PORT until the process is killed. */
void echo_serve(const char *port, const struct echo_protocol *protocol);

/* Big-endian numbers of the wire. */
uint64_t get_be(const unsigned char *at, int bytes);
void put_be(unsigned char *at, int bytes, uint64_t value);

#endif
