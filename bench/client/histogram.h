/* Latencies in nanoseconds, log-linear: 64 steps per power of two, so a quantile is off by at most 1.6 %. */
#ifndef HOLDFAST_BENCH_HISTOGRAM_H
#define HOLDFAST_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6
#define HISTOGRAM_STEPS (1 << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS)

struct histogram {
	uint64_t count;
	uint64_t max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline int histogram_bucket(uint64_t ns)
{
	if (ns < HISTOGRAM_STEPS)
		return (int)ns;
	int shift = 63 - __builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
	return (shift + 1) * HISTOGRAM_STEPS + (int)((ns >> shift) - HISTOGRAM_STEPS);
}

/* The smallest latency that falls into the bucket. */
static inline uint64_t histogram_floor(int bucket)
{
	if (bucket < HISTOGRAM_STEPS)
		return (uint64_t)bucket;
	int shift = bucket / HISTOGRAM_STEPS - 1;
	return ((uint64_t)(bucket % HISTOGRAM_STEPS) + HISTOGRAM_STEPS) << shift;
}

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
	h->count++;
	h->buckets[histogram_bucket(ns)]++;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

static inline uint64_t histogram_quantile(const struct histogram *h, double quantile)
{
	uint64_t rank = (uint64_t)(quantile * (double)h->count);
	uint64_t seen = 0;
	for (int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		seen += h->buckets[bucket];
		if (seen > rank)
			return histogram_floor(bucket);
	}
	return h->max_ns;
}

#endif
