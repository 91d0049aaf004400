/*
 * Keeps a fixed number of iSCSI commands in flight on one thread and says, as one line of JSON, how many ended,
 * how long they took, and what that cost this process and the server in CPU time.
 */
#include "batched-socket.h"
#include "run.h"

#include <errno.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INITIATOR_NAME_FORMAT "iqn.2026-11.io.holdfast.bench:load-%d"

struct connection {
	struct iscsi_context *iscsi;
	int lun;
};

struct slot {
	struct connection *connection;
	unsigned char *buffer;
	struct scsi_iovec iov;
	uint64_t started_ns;
	uint64_t lba;
};

static struct connection connections[CONNECTIONS_MAX];
static struct pollfd polls[CONNECTIONS_MAX];
static struct slot *slots;
static uint32_t logical_block_bytes;

static void submit(struct slot *slot);

static void finish(struct slot *slot)
{
	run_ended(slot->started_ns);
	submit(slot);
}

static void on_flushed(struct iscsi_context *iscsi, int status, void *data, void *private_data)
{
	if (status != SCSI_STATUS_GOOD)
		die("SYNCHRONIZE CACHE failed", iscsi_get_error(iscsi));
	scsi_free_scsi_task(data);
	finish(private_data);
}

static void on_transferred(struct iscsi_context *iscsi, int status, void *data, void *private_data)
{
	struct slot *slot = private_data;
	if (status != SCSI_STATUS_GOOD)
		die("READ or WRITE failed", iscsi_get_error(iscsi));
	scsi_free_scsi_task(data);
	if (!run.options.flush) {
		finish(slot);
		return;
	}
	if (!iscsi_synchronizecache16_task(iscsi, slot->connection->lun, slot->lba,
					   run.options.block_bytes / logical_block_bytes, 0, 0, on_flushed, slot))
		die("SYNCHRONIZE CACHE could not be queued", iscsi_get_error(iscsi));
}

static void submit(struct slot *slot)
{
	if (!run_may_issue())
		return;
	const struct options *o = &run.options;
	struct iscsi_context *iscsi = slot->connection->iscsi;
	int lun = slot->connection->lun;
	int block = (int)logical_block_bytes;
	slot->lba = run_next_offset() / logical_block_bytes;
	slot->iov = (struct scsi_iovec){.iov_base = slot->buffer, .iov_len = o->block_bytes};
	slot->started_ns = now_ns();
	struct scsi_task *task = run_next_reads()
		? iscsi_read16_iov_task(iscsi, lun, slot->lba, o->block_bytes, block, 0, 0, 0, 0, 0, on_transferred,
					slot, &slot->iov, 1)
		: iscsi_write16_iov_task(iscsi, lun, slot->lba, NULL, o->block_bytes, block, 0, 0, o->fua, 0, 0,
					 on_transferred, slot, &slot->iov, 1);
	if (!task)
		die("a command could not be queued", iscsi_get_error(iscsi));
}

static void connect_to(struct connection *connection, int number)
{
	char name[128];
	snprintf(name, sizeof name, INITIATOR_NAME_FORMAT, number);
	struct iscsi_context *iscsi = iscsi_create_context(name);
	if (!iscsi)
		die("no iSCSI context", "out of memory");
	struct iscsi_url *url = iscsi_parse_full_url(iscsi, run.options.url);
	if (!url)
		die("bad address", iscsi_get_error(iscsi));
	iscsi_set_targetname(iscsi, url->target);
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(iscsi, run.options.header_digest ? ISCSI_HEADER_DIGEST_CRC32C
								 : ISCSI_HEADER_DIGEST_NONE);
	iscsi_set_noautoreconnect(iscsi, 1);
	if (iscsi_full_connect_sync(iscsi, url->portal, url->lun) != 0)
		die("login failed", iscsi_get_error(iscsi));
	connection->iscsi = iscsi;
	connection->lun = url->lun;
	iscsi_destroy_url(url);
}

static void choose_range(struct connection *connection)
{
	struct scsi_task *task = iscsi_readcapacity16_sync(connection->iscsi, connection->lun);
	if (!task || task->status != SCSI_STATUS_GOOD)
		die("READ CAPACITY (16) failed", iscsi_get_error(connection->iscsi));
	struct scsi_readcapacity16 *capacity = scsi_datain_unmarshall(task);
	logical_block_bytes = capacity->block_length;
	uint64_t lun_bytes = (capacity->returned_lba + 1) * capacity->block_length;
	scsi_free_scsi_task(task);
	run_choose_range(lun_bytes, logical_block_bytes);
}

static void make_slots(void)
{
	const struct options *o = &run.options;
	int total = o->connections * o->queue_depth;
	slots = calloc((size_t)total, sizeof *slots);
	if (!slots)
		die("no slots", "out of memory");
	for (int i = 0; i < total; i++) {
		slots[i].connection = &connections[i % o->connections];
		slots[i].buffer = run_random_buffer(o->block_bytes);
	}
}

/* What arrived is answered, and what the callbacks queued is handed to the socket, without another poll. */
static void serve(struct iscsi_context *iscsi, int revents)
{
	int fd = iscsi_get_fd(iscsi);
	if (!batched_socket_flush(fd) && errno != EAGAIN)
		die("connection lost", strerror(errno));
	do {
		if (revents && iscsi_service(iscsi, revents) < 0)
			die("connection lost", iscsi_get_error(iscsi));
	} while (batched_socket_has_input(fd));
	if (iscsi_out_queue_length(iscsi) > 0 && iscsi_service(iscsi, POLLOUT) < 0)
		die("connection lost", iscsi_get_error(iscsi));
	if (!batched_socket_flush(fd) && errno != EAGAIN)
		die("connection lost", strerror(errno));
}

static void turn(void)
{
	int n = run.options.connections;
	for (int i = 0; i < n; i++) {
		struct iscsi_context *iscsi = connections[i].iscsi;
		int fd = iscsi_get_fd(iscsi);
		polls[i].fd = fd;
		polls[i].events = (short)(iscsi_which_events(iscsi) | (batched_socket_flush(fd) ? 0 : POLLOUT));
	}
	if (poll(polls, (nfds_t)n, POLL_TIMEOUT_MS) < 0)
		die("poll failed", strerror(errno));
	for (int i = 0; i < n; i++)
		serve(connections[i].iscsi, polls[i].revents);
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
	for (int i = 0; i < o->connections; i++)
		connect_to(&connections[i], i);
	choose_range(&connections[0]);
	make_slots();
	if (!o->plain_socket)
		for (int i = 0; i < o->connections; i++)
			batched_socket_attach(iscsi_get_fd(connections[i].iscsi));
	run_measure(issue_first, turn);
	for (int i = 0; i < o->connections; i++) {
		batched_socket_detach(iscsi_get_fd(connections[i].iscsi));
		iscsi_logout_sync(connections[i].iscsi);
	}
	return 0;
}
