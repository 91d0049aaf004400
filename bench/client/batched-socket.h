/*
 * libiscsi sends every PDU with a call of its own and receives it with two, so that one core of client ends at
 * about 130,000 commands a second, below what some servers can do. The load generator therefore defines recv,
 * readv and send itself: bytes of an attached socket are received in large pieces, and sent once per turn.
 */
#ifndef HOLDFAST_BENCH_BATCHED_SOCKET_H
#define HOLDFAST_BENCH_BATCHED_SOCKET_H

#include <stdbool.h>

/* From now on the socket is batched. It must be non-blocking and `fd` below 1024. */
void batched_socket_attach(int fd);
/* Back to plain calls; nothing may be buffered. */
void batched_socket_detach(int fd);
/* Received bytes that nobody has asked for yet. */
bool batched_socket_has_input(int fd);
/* Sends what was collected; true when all of it left. */
bool batched_socket_flush(int fd);

#endif
