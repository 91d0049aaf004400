#define _GNU_SOURCE
#include "run.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct run run;

void die(const char *what, const char *why)
{
	fprintf(stderr, "load: %s: %s\n", what, why);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* splitmix64: enough for addresses, and one seed gives every server the same ones. */
uint64_t next_random(void)
{
	uint64_t z = (run.random_state += 0x9e3779b97f4a7c15ull);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void run_begin(int argc, char **argv)
{
	run.options = options_parse(argc, argv);
	run.random_state = run.options.seed;
	if (run.options.cpu < 0)
		return;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(run.options.cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		die("cannot pin to the CPU", strerror(errno));
}

void run_choose_range(uint64_t served_bytes, uint32_t block_bytes)
{
	struct options *o = &run.options;
	if (o->range_bytes == 0 && o->range_offset_bytes < served_bytes)
		o->range_bytes = served_bytes - o->range_offset_bytes;
	if (o->range_bytes < o->block_bytes || o->range_offset_bytes + o->range_bytes > served_bytes)
		die("bad range", "it does not fit what is served");
	if (o->block_bytes % block_bytes || o->range_offset_bytes % block_bytes)
		die("bad range", "it is not made of whole logical blocks");
	run.positions = o->range_bytes / o->block_bytes;
}

uint64_t run_next_offset(void)
{
	const struct options *o = &run.options;
	uint64_t position = (o->random ? next_random() : run.next_position++) % run.positions;
	return o->range_offset_bytes + position * o->block_bytes;
}

bool run_next_reads(void)
{
	int percent = run.options.read_percent;
	if (percent == 0 || percent == 100)
		return percent == 100;
	/* The upper bits: the next address comes from the same sequence. */
	return (next_random() >> 32) % 100 < (uint64_t)percent;
}

bool run_may_issue(void)
{
	if (run.stopping || (run.options.count && run.issued == run.options.count))
		return false;
	run.issued++;
	run.in_flight++;
	return true;
}

void run_ended(uint64_t started_ns)
{
	uint64_t now = now_ns();
	run.last_answer_ns = now;
	run.in_flight--;
	if (run.measuring)
		histogram_add(&run.latencies, now - started_ns);
}

unsigned char *run_random_buffer(uint32_t length)
{
	unsigned char *buffer;
	if (posix_memalign((void **)&buffer, 4096, length))
		die("no buffers", "out of memory");
	for (uint32_t at = 0; at + 4 <= length; at += 4) {
		uint32_t word = (uint32_t)next_random();
		memcpy(buffer + at, &word, sizeof word);
	}
	return buffer;
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

static void run_until(void (*turn)(void), double seconds)
{
	uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
	while (run.in_flight > 0 && (run.options.count || now_ns() < end)) {
		turn();
		if (now_ns() - run.last_answer_ns > STALL_LIMIT_NS)
			die("stalled", "no answer for 20 seconds");
	}
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

void run_measure(void (*issue_first)(void), void (*turn)(void))
{
	const struct options *o = &run.options;
	run.last_answer_ns = now_ns();
	run.measuring = o->count > 0;
	double own_cpu = own_cpu_seconds(), server_cpu = servers_cpu_seconds();
	uint64_t began = now_ns();
	issue_first();
	if (!o->count) {
		run_until(turn, o->warm_up_seconds);
		run.measuring = true;
		own_cpu = own_cpu_seconds();
		server_cpu = servers_cpu_seconds();
		began = now_ns();
	}
	run_until(turn, o->seconds);
	double seconds = (double)(now_ns() - began) / 1e9;
	own_cpu = own_cpu_seconds() - own_cpu;
	server_cpu = servers_cpu_seconds() - server_cpu;
	run.measuring = false;
	run.stopping = true;
	print_result(seconds, own_cpu, server_cpu);
	while (run.in_flight > 0)
		turn();
}
