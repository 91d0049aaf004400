/*
 * The client's side of one NBD connection, for measuring: requests are gathered and leave with one call, replies are
 * received in large pieces and their data is dropped. Simple and structured replies. What goes wrong ends the process.
 */
#ifndef HOLDFAST_BENCH_NBD_CONNECTION_H
#define HOLDFAST_BENCH_NBD_CONNECTION_H

#include "options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define NBD_REQUEST_BYTES 28
#define NBD_RECEIVE_BYTES (256u << 10)

enum { NBD_CMD_READ = 0, NBD_CMD_WRITE = 1, NBD_CMD_DISC = 2, NBD_CMD_FLUSH = 3 };
enum { NBD_CMD_FLAG_FUA = 1 };
/* Set in the cookies of reads: a simple reply does not say whether data follow. */
#define NBD_COOKIE_READS (1ull << 63)

struct nbd_connection {
	int fd;
	uint64_t export_bytes;
	struct iovec out[2 * QUEUE_DEPTH_MAX + 1];
	int out_first, out_end;
	unsigned char in[NBD_RECEIVE_BYTES];
	size_t in_end;
	/* Data of a reply that is still to come, and whether the request is answered with it. */
	uint64_t data_left;
	uint64_t data_cookie;
	bool data_is_last;
};

/* Connects to nbd://HOST:PORT/EXPORT and goes to the transmission phase. */
void nbd_connect(struct nbd_connection *c, const char *url);
/* Writes a request's header. */
void nbd_put_request(unsigned char *header, int command, int flags, uint64_t cookie, uint64_t offset, uint32_t length);
/* Queues bytes, which must stay as they are until they have been sent. */
void nbd_queue(struct nbd_connection *c, const void *bytes, size_t length);
/* Sends what was queued; true when all of it left. */
bool nbd_flush(struct nbd_connection *c);
/* Receives once and calls `answered` for each request that was answered; `wait` waits for bytes. */
void nbd_receive(struct nbd_connection *c, bool wait, void (*answered)(uint64_t cookie));

#endif
