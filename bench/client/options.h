/* What the load generator was asked to do. */
#ifndef HOLDFAST_BENCH_OPTIONS_H
#define HOLDFAST_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define CONNECTIONS_MAX 256
#define QUEUE_DEPTH_MAX 256
#define SERVER_PIDS_MAX 32
#define BLOCK_BYTES_MAX (16u << 20)

struct options {
	const char *url;
	int read_percent; /* 100: reads only, 0: writes only */
	bool random;
	bool flush; /* each write is followed by a flush, as a pair */
	bool fua;
	uint32_t block_bytes;
	int queue_depth; /* per connection */
	int connections;
	double seconds;
	double warm_up_seconds;
	uint64_t count; /* operations; 0: run for `seconds` */
	uint64_t range_offset_bytes;
	uint64_t range_bytes; /* 0: to the end of the volume */
	int cpu;	      /* -1: not pinned */
	bool header_digest;
	bool plain_socket;
	uint64_t seed;
	int server_pids[SERVER_PIDS_MAX];
	int server_pid_count;
};

/* Exits with status 2 and a sentence on stderr when the arguments make no sense. */
struct options options_parse(int argc, char **argv);

#endif
