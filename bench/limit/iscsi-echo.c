/* iSCSI answered from memory: the PDUs of RFC 7143 that reads and writes need, without digests and error recovery. */
#include "iscsi-echo.h"

#include <string.h>

enum { NOP_OUT = 0x00, SCSI_COMMAND = 0x01, LOGIN_REQUEST = 0x03, DATA_OUT = 0x05, LOGOUT_REQUEST = 0x06 };
enum { NOP_IN = 0x20, SCSI_RESPONSE = 0x21, DATA_IN = 0x25, LOGOUT_RESPONSE = 0x26, R2T = 0x31 };
enum { FINAL = 0x80, READS = 0x40, WRITES = 0x20, HAS_STATUS = 0x01 };
enum { INQUIRY = 0x12, READ_10 = 0x28, READ_16 = 0x88, SERVICE_ACTION_IN_16 = 0x9e };
#define IMMEDIATE 0x40
#define OPCODE_MASK 0x3f
#define BLOCK_BYTES 4096
#define BLOCKS (1ull << 18)
/* 16 MiB in segments of 256 KiB, header and data each. */
#define PIECES_MAX 130

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void reply_header(struct session *s, unsigned char *reply, int opcode, int flags, const unsigned char *request,
		  uint32_t length, bool counts)
{
	memset(reply, 0, BHS_BYTES);
	reply[0] = (unsigned char)opcode;
	reply[1] = (unsigned char)flags;
	put_be(reply + 5, 3, length);
	memcpy(reply + 16, request + 16, 4);
	put_be(reply + 24, 4, s->stat_sn);
	s->stat_sn += counts;
	put_be(reply + 28, 4, s->exp_cmd_sn);
	put_be(reply + 32, 4, s->exp_cmd_sn + COMMAND_WINDOW - 1);
}

static void respond(struct echo_connection *c, const unsigned char *request)
{
	unsigned char reply[BHS_BYTES];
	reply_header(c->state, reply, SCSI_RESPONSE, FINAL, request, 0, true);
	echo_reply(c, reply, sizeof reply);
}

static void send_read(struct echo_connection *c, const unsigned char *request, uint32_t length)
{
	struct session *s = c->state;
	uint32_t segment = lesser(s->their_data_segment_bytes, OUR_DATA_SEGMENT_BYTES);
	for (uint32_t at = 0, data_sn = 0; at < length; data_sn++) {
		uint32_t piece = lesser(segment, length - at);
		bool last = at + piece == length;
		unsigned char reply[BHS_BYTES];
		reply_header(s, reply, DATA_IN, last ? FINAL | HAS_STATUS : 0, request, piece, last);
		put_be(reply + 36, 4, data_sn);
		put_be(reply + 40, 4, at);
		echo_reply(c, reply, sizeof reply);
		echo_data(c, piece);
		at += piece;
	}
}

/* Data that are not anything. */
static void send_parameters(struct echo_connection *c, const unsigned char *request, const unsigned char *data, uint32_t length)
{
	unsigned char reply[BHS_BYTES + 96];
	length = lesser(length, (uint32_t)get_be(request + 20, 4));
	reply_header(c->state, reply, DATA_IN, FINAL | HAS_STATUS, request, length, true);
	memcpy(reply + BHS_BYTES, data, length);
	echo_reply(c, reply, BHS_BYTES + (length + 3) / 4 * 4);
}

static void request_burst(struct echo_connection *c, const unsigned char *request, struct write_under_way *w)
{
	struct session *s = c->state;
	unsigned char reply[BHS_BYTES];
	reply_header(s, reply, R2T, FINAL, request, 0, false);
	put_be(reply + 20, 4, 1);
	put_be(reply + 36, 4, w->r2t_sn++);
	put_be(reply + 40, 4, w->got);
	put_be(reply + 44, 4, lesser(s->burst_bytes, w->wanted - w->got));
	echo_reply(c, reply, sizeof reply);
}

static struct write_under_way *write_of(struct session *s, const unsigned char *header)
{
	return &s->writes[get_be(header + 16, 4) % WRITES_MAX];
}

/* A command's immediate data, or a Data-Out's, have come: more is asked for at the end of a burst. */
static void skipped(struct echo_connection *c)
{
	struct session *s = c->state;
	struct write_under_way *w = write_of(s, s->header);
	w->got += (uint32_t)get_be(s->header + 5, 3);
	if (w->got >= w->wanted)
		respond(c, s->header);
	else if (s->header[1] & FINAL)
		request_burst(c, s->header, w);
}

static void take_command(struct echo_connection *c, const unsigned char *at, uint32_t padded)
{
	static const unsigned char INQUIRY_DATA[36] = {0, 0, 6, 2, 31, 0, 0, 2, 'H', 'O', 'L', 'D', 'F', 'A', 'S', 'T'};
	struct session *s = c->state;
	uint32_t wanted = (uint32_t)get_be(at + 20, 4);
	const unsigned char *cdb = at + 32;
	if (!(at[0] & IMMEDIATE))
		s->exp_cmd_sn = (uint32_t)get_be(at + 24, 4) + 1;
	if (at[1] & WRITES) {
		*write_of(s, at) = (struct write_under_way){.wanted = wanted};
		memcpy(s->header, at, BHS_BYTES);
		c->skip = padded;
		if (padded == 0)
			skipped(c);
	} else if (cdb[0] == READ_16 || cdb[0] == READ_10) {
		send_read(c, at, wanted);
	} else if (cdb[0] == SERVICE_ACTION_IN_16) {
		unsigned char capacity[32] = {0};
		put_be(capacity, 8, BLOCKS - 1);
		put_be(capacity + 8, 4, BLOCK_BYTES);
		send_parameters(c, at, capacity, sizeof capacity);
	} else if (cdb[0] == INQUIRY) {
		send_parameters(c, at, INQUIRY_DATA, sizeof INQUIRY_DATA);
	} else {
		respond(c, at);
	}
}

static void answer(struct echo_connection *c, const unsigned char *at, int opcode)
{
	unsigned char reply[BHS_BYTES];
	reply_header(c->state, reply, opcode, FINAL, at, 0, true);
	if (opcode == NOP_IN)
		memset(reply + 20, 0xff, 4);
	echo_reply(c, reply, sizeof reply);
}

static size_t take(struct echo_connection *c, const unsigned char *at, size_t there)
{
	struct session *s = c->state;
	if (there < BHS_BYTES)
		return 0;
	uint32_t length = (uint32_t)get_be(at + 5, 3), padded = (length + 3) / 4 * 4;
	int opcode = at[0] & OPCODE_MASK;
	if (opcode == SCSI_COMMAND) {
		take_command(c, at, padded);
		return BHS_BYTES;
	}
	if (opcode == DATA_OUT) {
		memcpy(s->header, at, BHS_BYTES);
		c->skip = padded;
		return BHS_BYTES;
	}
	c->closing = BHS_BYTES + padded > ECHO_IN_BYTES;
	if (there < BHS_BYTES + padded)
		return 0;
	if (opcode == LOGIN_REQUEST)
		login(c, at, at + BHS_BYTES, length);
	else if (opcode == NOP_OUT && get_be(at + 16, 4) != 0xffffffff)
		answer(c, at, NOP_IN);
	else if (opcode == LOGOUT_REQUEST)
		answer(c, at, LOGOUT_RESPONSE);
	return BHS_BYTES + padded;
}

int main(int argc, char **argv)
{
	static const struct echo_protocol ISCSI = {
		.state_bytes = sizeof(struct session),
		.pieces_max = PIECES_MAX,
		.take = take,
		.skipped = skipped,
	};
	if (argc != 2)
		return 2;
	echo_serve(argv[1], &ISCSI);
}
