/* What both load generators do alike: time, CPU, addresses, and the line of JSON at the end. */
#ifndef HOLDFAST_BENCH_RUN_H
#define HOLDFAST_BENCH_RUN_H

#include "histogram.h"
#include "options.h"

#include <stdbool.h>
#include <stdint.h>

#define POLL_TIMEOUT_MS 1000
#define STALL_LIMIT_NS 20000000000ull

struct run {
	struct options options;
	struct histogram latencies;
	uint64_t positions; /* places in the range where an operation may begin */
	uint64_t next_position;
	uint64_t random_state;
	uint64_t issued;
	uint64_t in_flight;
	bool measuring;
	bool stopping;
	uint64_t last_answer_ns;
};

extern struct run run;

/* Exits with status 1. */
void die(const char *what, const char *why);
uint64_t now_ns(void);
uint64_t next_random(void);
/* Reads the options and pins the process. */
void run_begin(int argc, char **argv);
/* The range, once the size of what is served is known; exits when it does not fit. */
void run_choose_range(uint64_t served_bytes, uint32_t block_bytes);
/* Where the next operation begins, in bytes. */
uint64_t run_next_offset(void);
/* Whether the next operation reads. */
bool run_next_reads(void);
/* Whether one more operation is to be issued; counts it. */
bool run_may_issue(void);
/* An operation that began at `started_ns` has ended. */
void run_ended(uint64_t started_ns);
/* `length` bytes that no server can compress or take for zeroes. */
unsigned char *run_random_buffer(uint32_t length);
/* Warms up, measures and prints: `turn` waits for answers once and handles them. Then waits for what is in flight. */
void run_measure(void (*issue_first)(void), void (*turn)(void));

#endif
