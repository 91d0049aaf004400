/* The state of one iSCSI connection that is answered from memory. */
#ifndef HOLDFAST_BENCH_ISCSI_ECHO_H
#define HOLDFAST_BENCH_ISCSI_ECHO_H

#include "echo-server.h"

#define BHS_BYTES 48
/* Commands that may be under way; their tags must not be further apart. */
#define WRITES_MAX 4096
#define COMMAND_WINDOW 256
#define OUR_DATA_SEGMENT_BYTES (256u << 10)

struct write_under_way {
	uint32_t wanted, got, r2t_sn;
};

struct session {
	uint32_t stat_sn, exp_cmd_sn;
	/* What the initiator offered. */
	uint32_t burst_bytes, their_data_segment_bytes;
	/* The header of the PDU whose data are being dropped. */
	unsigned char header[BHS_BYTES];
	struct write_under_way writes[WRITES_MAX];
};

/* A reply's first 48 bytes with the numbers of the session; `length` of the data segment. */
void reply_header(struct session *s, unsigned char *reply, int opcode, int flags, const unsigned char *request,
		  uint32_t length, bool counts);
/* Answers a Login Request whose text is there. */
void login(struct echo_connection *c, const unsigned char *request, const unsigned char *text, uint32_t length);

#endif
