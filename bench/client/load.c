/*
 * Keeps a fixed number of iSCSI commands in flight on one thread and says, as one line of JSON, how many ended,
 * how long they took, and what that cost this process and the server in CPU time.
 */
#define _GNU_SOURCE
#include "batched-socket.h"
#include "histogram.h"
#include "options.h"

#include <errno.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define POLL_TIMEOUT_MS 1000
#define STALL_LIMIT_NS 20000000000ull
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

struct run {
	struct options options;
	struct histogram latencies;
	uint32_t logical_block_bytes;
	uint64_t first_lba;
	uint64_t positions; /* places in the range where an operation may begin */
	uint64_t next_position;
	uint64_t random_state;
	uint64_t issued;
	uint64_t ended;
	uint64_t in_flight;
	bool measuring;
	bool stopping;
	uint64_t last_answer_ns;
};

static struct run run;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "load: %s: %s\n", what, why);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* splitmix64: enough for addresses, and one seed gives every server the same ones. */
static uint64_t next_random(void)
{
	uint64_t z = (run.random_state += 0x9e3779b97f4a7c15ull);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t next_lba(void)
{
	uint64_t position = run.options.random ? next_random() % run.positions : run.next_position++ % run.positions;
	return run.first_lba + position * (run.options.block_bytes / run.logical_block_bytes);
}

static void submit(struct slot *slot);

static void finish(struct slot *slot)
{
	uint64_t now = now_ns();
	run.last_answer_ns = now;
	run.in_flight--;
	run.ended++;
	if (run.measuring)
		histogram_add(&run.latencies, now - slot->started_ns);
	if (!run.stopping)
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
		die(run.options.write ? "WRITE failed" : "READ failed", iscsi_get_error(iscsi));
	scsi_free_scsi_task(data);
	if (!run.options.flush) {
		finish(slot);
		return;
	}
	if (!iscsi_synchronizecache16_task(iscsi, slot->connection->lun, slot->lba,
					   run.options.block_bytes / run.logical_block_bytes, 0, 0, on_flushed, slot))
		die("SYNCHRONIZE CACHE could not be queued", iscsi_get_error(iscsi));
}

static void submit(struct slot *slot)
{
	const struct options *o = &run.options;
	if (o->count && run.issued == o->count)
		return;
	struct iscsi_context *iscsi = slot->connection->iscsi;
	int lun = slot->connection->lun;
	int block = (int)run.logical_block_bytes;
	slot->lba = next_lba();
	slot->iov = (struct scsi_iovec){.iov_base = slot->buffer, .iov_len = o->block_bytes};
	slot->started_ns = now_ns();
	struct scsi_task *task = o->write
		? iscsi_write16_iov_task(iscsi, lun, slot->lba, NULL, o->block_bytes, block, 0, 0, 0, 0, 0,
					 on_transferred, slot, &slot->iov, 1)
		: iscsi_read16_iov_task(iscsi, lun, slot->lba, o->block_bytes, block, 0, 0, 0, 0, 0, on_transferred,
					slot, &slot->iov, 1);
	if (!task)
		die("a command could not be queued", iscsi_get_error(iscsi));
	run.issued++;
	run.in_flight++;
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
	struct options *o = &run.options;
	struct scsi_task *task = iscsi_readcapacity16_sync(connection->iscsi, connection->lun);
	if (!task || task->status != SCSI_STATUS_GOOD)
		die("READ CAPACITY (16) failed", iscsi_get_error(connection->iscsi));
	struct scsi_readcapacity16 *capacity = scsi_datain_unmarshall(task);
	run.logical_block_bytes = capacity->block_length;
	uint64_t lun_bytes = (capacity->returned_lba + 1) * capacity->block_length;
	scsi_free_scsi_task(task);
	if (o->range_bytes == 0 && o->range_offset_bytes < lun_bytes)
		o->range_bytes = lun_bytes - o->range_offset_bytes;
	if (o->range_bytes < o->block_bytes || o->range_offset_bytes + o->range_bytes > lun_bytes)
		die("bad range", "it does not fit the LUN");
	if (o->block_bytes % run.logical_block_bytes || o->range_offset_bytes % run.logical_block_bytes)
		die("bad range", "it is not made of whole logical blocks");
	run.first_lba = o->range_offset_bytes / run.logical_block_bytes;
	run.positions = o->range_bytes / o->block_bytes;
}

static struct slot *make_slots(struct connection *connections)
{
	const struct options *o = &run.options;
	int total = o->connections * o->queue_depth;
	struct slot *slots = calloc((size_t)total, sizeof *slots);
	if (!slots)
		die("no slots", "out of memory");
	for (int i = 0; i < total; i++) {
		slots[i].connection = &connections[i % o->connections];
		if (posix_memalign((void **)&slots[i].buffer, 4096, o->block_bytes))
			die("no buffers", "out of memory");
		for (uint32_t at = 0; at < o->block_bytes; at += 4)
			*(uint32_t *)(slots[i].buffer + at) = (uint32_t)next_random();
	}
	return slots;
}

/* utime + stime of a process with all its threads, in clock ticks; proc(5), fields 14 and 15. */
static double process_cpu_seconds(int pid)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *file = fopen(path, "r");
	if (!file)
		die("no such server process", path);
	size_t length = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[length] = 0;
	unsigned long user = 0, system = 0;
	char *after_name = strrchr(text, ')');
	if (!after_name ||
	    sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		die("cannot read", path);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double servers_cpu_seconds(void)
{
	double sum = 0;
	for (int i = 0; i < run.options.server_pid_count; i++)
		sum += process_cpu_seconds(run.options.server_pids[i]);
	return sum;
}

static double own_cpu_seconds(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
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

static void turn(struct connection *connections, struct pollfd *polls)
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
	if (now_ns() - run.last_answer_ns > STALL_LIMIT_NS)
		die("stalled", "no answer for 20 seconds");
}

static void run_until(struct connection *connections, struct pollfd *polls, double seconds)
{
	uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
	while (run.in_flight > 0 && (run.options.count || now_ns() < end))
		turn(connections, polls);
}

static void print_result(double seconds, double own_cpu, double server_cpu)
{
	const struct histogram *h = &run.latencies;
	double ops = (double)h->count;
	printf("{\"operations\":%llu,\"seconds\":%.6f,\"operationsPerSecond\":%.1f,\"bytesPerSecond\":%.0f,"
	       "\"latencyUs\":{\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},"
	       "\"clientCpuSeconds\":%.4f,\"serverCpuSeconds\":%.4f}\n",
	       (unsigned long long)h->count, seconds, ops / seconds, ops * run.options.block_bytes / seconds,
	       (double)histogram_quantile(h, 0.5) / 1e3, (double)histogram_quantile(h, 0.99) / 1e3,
	       (double)histogram_quantile(h, 0.999) / 1e3, (double)h->max_ns / 1e3, own_cpu, server_cpu);
}

int main(int argc, char **argv)
{
	run.options = options_parse(argc, argv);
	const struct options *o = &run.options;
	run.random_state = o->seed;
	if (o->cpu >= 0) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET(o->cpu, &set);
		if (sched_setaffinity(0, sizeof set, &set) != 0)
			die("cannot pin to the CPU", strerror(errno));
	}

	struct connection connections[CONNECTIONS_MAX];
	struct pollfd polls[CONNECTIONS_MAX];
	for (int i = 0; i < o->connections; i++)
		connect_to(&connections[i], i);
	choose_range(&connections[0]);
	struct slot *slots = make_slots(connections);
	if (!o->plain_socket)
		for (int i = 0; i < o->connections; i++)
			batched_socket_attach(iscsi_get_fd(connections[i].iscsi));

	run.last_answer_ns = now_ns();
	run.measuring = o->count > 0;
	double own_cpu = own_cpu_seconds(), server_cpu = servers_cpu_seconds();
	uint64_t began = now_ns();
	for (int i = 0; i < o->connections * o->queue_depth; i++)
		submit(&slots[i]);
	if (!o->count) {
		run_until(connections, polls, o->warm_up_seconds);
		run.measuring = true;
		own_cpu = own_cpu_seconds();
		server_cpu = servers_cpu_seconds();
		began = now_ns();
	}
	run_until(connections, polls, o->seconds);
	double seconds = (double)(now_ns() - began) / 1e9;
	own_cpu = own_cpu_seconds() - own_cpu;
	server_cpu = servers_cpu_seconds() - server_cpu;
	run.measuring = false;
	run.stopping = true;
	print_result(seconds, own_cpu, server_cpu);

	while (run.in_flight > 0)
		turn(connections, polls);
	for (int i = 0; i < o->connections; i++) {
		batched_socket_detach(iscsi_get_fd(connections[i].iscsi));
		iscsi_logout_sync(connections[i].iscsi);
	}
	return 0;
}
