#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_PERCENT_DEFAULT 70

static const char USAGE[] =
	"usage: iscsi-load [options] iscsi://HOST:PORT/IQN/LUN\n"
	"       nbd-load [options] nbd://HOST:PORT/EXPORT\n"
	"  --mode MODE                            randread, randwrite, randrw, read or write (randread)\n"
	"  --read-percent N                       share of reads in randrw (70)\n"
	"  --flush                                a flush after each write; the pair is one operation\n"
	"  --fua                                  each write is durable before it is answered\n"
	"  --block BYTES                          size of one operation (4096)\n"
	"  --depth N                              commands in flight per connection (1)\n"
	"  --connections N                        connections, over iSCSI each with its session (1)\n"
	"  --seconds S, --warm-up S               measured time (2) and time before it (0.3)\n"
	"  --count N                              stop after N operations instead, without warm-up\n"
	"  --offset BYTES, --length BYTES         part of the volume that is used (all)\n"
	"  --cpu N                                pin this process\n"
	"  --header-digest                        iSCSI: ask for CRC32C header digests\n"
	"  --plain-socket                         iSCSI: one system call per PDU, as libiscsi does by itself\n"
	"  --seed N                               of the random addresses (1)\n"
	"  --server-pids A,B                      also report the CPU time of these processes\n";

static void fail(const char *what)
{
	fprintf(stderr, "load: %s\n%s", what, USAGE);
	exit(2);
}

static void parse_mode(struct options *o, const char *mode)
{
	o->random = strncmp(mode, "rand", 4) == 0;
	const char *verb = o->random ? mode + 4 : mode;
	if (strcmp(verb, "read") == 0)
		o->read_percent = 100;
	else if (strcmp(verb, "write") == 0)
		o->read_percent = 0;
	else if (strcmp(mode, "randrw") == 0)
		o->read_percent = READ_PERCENT_DEFAULT;
	else
		fail("--mode is one of randread, randwrite, randrw, read, write");
}

static void parse_pids(struct options *o, char *list)
{
	for (char *part = strtok(list, ","); part; part = strtok(NULL, ",")) {
		if (o->server_pid_count == SERVER_PIDS_MAX)
			fail("too many --server-pids");
		o->server_pids[o->server_pid_count++] = atoi(part);
	}
}

static void check(const struct options *o)
{
	if (o->block_bytes == 0 || o->block_bytes > BLOCK_BYTES_MAX)
		fail("--block is out of range");
	if (o->queue_depth < 1 || o->queue_depth > QUEUE_DEPTH_MAX)
		fail("--depth is out of range");
	if (o->connections < 1 || o->connections > CONNECTIONS_MAX)
		fail("--connections is out of range");
	if (o->read_percent < 0 || o->read_percent > 100)
		fail("--read-percent is out of range");
	if (o->flush && o->read_percent > 0)
		fail("--flush needs a mode that only writes");
	if (o->fua && o->read_percent == 100)
		fail("--fua needs a writing mode");
}

struct options options_parse(int argc, char **argv)
{
	static const struct option LONG[] = {
		{"mode", required_argument, 0, 'm'},	    {"flush", no_argument, 0, 'f'},
		{"block", required_argument, 0, 'b'},	    {"depth", required_argument, 0, 'd'},
		{"connections", required_argument, 0, 'n'}, {"seconds", required_argument, 0, 's'},
		{"warm-up", required_argument, 0, 'w'},	    {"count", required_argument, 0, 'c'},
		{"offset", required_argument, 0, 'o'},	    {"length", required_argument, 0, 'l'},
		{"cpu", required_argument, 0, 'p'},	    {"header-digest", no_argument, 0, 'h'},
		{"plain-socket", no_argument, 0, 'P'},	    {"fua", no_argument, 0, 'F'},
		{"seed", required_argument, 0, 'r'},	    {"server-pids", required_argument, 0, 'S'},
		{"read-percent", required_argument, 0, 'R'}, {0, 0, 0, 0},
	};
	struct options o = {
		.random = true,
		.read_percent = 100,
		.block_bytes = 4096,
		.queue_depth = 1,
		.connections = 1,
		.seconds = 2,
		.warm_up_seconds = 0.3,
		.cpu = -1,
		.seed = 1,
	};
	int c;
	while ((c = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
		switch (c) {
		case 'm': parse_mode(&o, optarg); break;
		case 'f': o.flush = true; break;
		case 'F': o.fua = true; break;
		case 'b': o.block_bytes = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'd': o.queue_depth = atoi(optarg); break;
		case 'n': o.connections = atoi(optarg); break;
		case 's': o.seconds = atof(optarg); break;
		case 'w': o.warm_up_seconds = atof(optarg); break;
		case 'c': o.count = strtoull(optarg, NULL, 10); break;
		case 'o': o.range_offset_bytes = strtoull(optarg, NULL, 10); break;
		case 'l': o.range_bytes = strtoull(optarg, NULL, 10); break;
		case 'p': o.cpu = atoi(optarg); break;
		case 'h': o.header_digest = true; break;
		case 'P': o.plain_socket = true; break;
		case 'r': o.seed = strtoull(optarg, NULL, 10); break;
		case 'R': o.read_percent = atoi(optarg); break;
		case 'S': parse_pids(&o, optarg); break;
		default: fail("unknown option");
		}
	}
	if (optind != argc - 1)
		fail("exactly one address is needed");
	o.url = argv[optind];
	check(&o);
	return o;
}
