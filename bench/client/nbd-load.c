/*
 * Keeps a fixed number of NBD requests in flight on one thread and says, as one line of JSON, how many ended, how
 * long they took, and what that cost this process and the server in CPU time.
 */
#include "nbd-connection.h"
#include "run.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct slot {
	struct nbd_connection *connection;
	const unsigned char *data;
	unsigned char header[NBD_REQUEST_BYTES];
	bool flushing;
	uint64_t started_ns;
};

static struct nbd_connection *connections;
static struct pollfd polls[CONNECTIONS_MAX];
static struct slot *slots;

static void submit(struct slot *slot)
{
	if (!run_may_issue())
		return;
	const struct options *o = &run.options;
	slot->started_ns = now_ns();
	slot->flushing = false;
	bool reads = run_next_reads();
	uint64_t cookie = (uint64_t)(slot - slots) | (reads ? NBD_COOKIE_READS : 0);
	nbd_put_request(slot->header, reads ? NBD_CMD_READ : NBD_CMD_WRITE, o->fua && !reads ? NBD_CMD_FLAG_FUA : 0,
			cookie, run_next_offset(), o->block_bytes);
	nbd_queue(slot->connection, slot->header, sizeof slot->header);
	if (!reads)
		nbd_queue(slot->connection, slot->data, o->block_bytes);
}

static void answered(uint64_t cookie)
{
	cookie &= ~NBD_COOKIE_READS;
	if (cookie >= (uint64_t)(run.options.connections * run.options.queue_depth))
		die("bad stream", "an answer to nothing");
	struct slot *slot = &slots[cookie];
	if (run.options.flush && !slot->flushing) {
		slot->flushing = true;
		nbd_put_request(slot->header, NBD_CMD_FLUSH, 0, cookie, 0, 0);
		nbd_queue(slot->connection, slot->header, sizeof slot->header);
		return;
	}
	run_ended(slot->started_ns);
	submit(slot);
}

static void turn(void)
{
	int n = run.options.connections;
	bool sent = true;
	for (int i = 0; i < n; i++) {
		bool all = nbd_flush(&connections[i]);
		polls[i] = (struct pollfd){.fd = connections[i].fd, .events = all ? POLLIN : POLLIN | POLLOUT};
		sent = sent && all;
	}
	if (n == 1 && sent) {
		nbd_receive(&connections[0], true, answered);
		return;
	}
	if (poll(polls, (nfds_t)n, POLL_TIMEOUT_MS) < 0)
		die("poll failed", strerror(errno));
	for (int i = 0; i < n; i++)
		if (polls[i].revents & ~POLLOUT)
			nbd_receive(&connections[i], false, answered);
}

static void issue_first(void)
{
	for (int i = 0; i < run.options.connections * run.options.queue_depth; i++)
		submit(&slots[i]);
}

int main(int argc, char **argv)
{
	run_begin(argc, argv);
	const struct options *o = &run.options;
	connections = calloc((size_t)o->connections, sizeof *connections);
	slots = calloc((size_t)(o->connections * o->queue_depth), sizeof *slots);
	if (!connections || !slots)
		die("no connections", "out of memory");
	for (int i = 0; i < o->connections; i++)
		nbd_connect(&connections[i], o->url);
	run_choose_range(connections[0].export_bytes, 1);
	for (int i = 0; i < o->connections * o->queue_depth; i++) {
		slots[i].connection = &connections[i % o->connections];
		slots[i].data = o->read_percent < 100 ? run_random_buffer(o->block_bytes) : NULL;
	}
	run_measure(issue_first, turn);
	unsigned char goodbye[NBD_REQUEST_BYTES];
	for (int i = 0; i < o->connections; i++) {
		nbd_put_request(goodbye, NBD_CMD_DISC, 0, 0, 0, 0);
		nbd_queue(&connections[i], goodbye, sizeof goodbye);
		nbd_flush(&connections[i]);
		close(connections[i].fd);
	}
	return 0;
}
