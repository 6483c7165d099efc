/*
 * The subject `c-io_uring` of the suite `net`, the limit: one thread, one ring, a SEND and a RECV in flight for each connection. net/shapes.js describes arguments and shapes.
 *
 * A window leaves in one send, which no client that writes frame by frame is forced to do but every good one comes to.
 */
#define _GNU_SOURCE
#include "ring.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECTIONS_MAX 64
#define KIND_SEND 1

struct connection {
	int fd;
	unsigned step, left, received, sent, wanted;
	uint64_t count;
	unsigned char *out, *in;
};

static struct ring ring;
static struct connection connections[CONNECTIONS_MAX];
static unsigned frame_bytes, connection_count, steps, hot, cold, rotates, window, hot_work, cold_work;
static unsigned running;
static uint64_t total;
static uint32_t sum;

static int64_t clock_ns(clockid_t id)
{
	struct timespec time;
	clock_gettime(id, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static uint32_t burn(uint32_t x, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		x = x * 1664525u + (1013904223u ^ i);
		x ^= x >> 15;
	}
	return x;
}

static void transfer(unsigned index, int is_send)
{
	struct connection *one = &connections[index];
	struct io_uring_sqe *sqe = ring_sqe(&ring);
	unsigned done = is_send ? one->sent : one->received;
	sqe->opcode = is_send ? IORING_OP_SEND : IORING_OP_RECV;
	sqe->fd = one->fd;
	sqe->addr = (uint64_t)(uintptr_t)((is_send ? one->out : one->in) + done);
	sqe->len = one->wanted - done;
	sqe->msg_flags = is_send ? MSG_WAITALL | MSG_NOSIGNAL : 0;
	sqe->user_data = index << 1 | (is_send ? KIND_SEND : 0);
}

static int is_hot(unsigned index, unsigned step)
{
	return (rotates ? step % connection_count : 0) == index;
}

/* Begins the next window of a connection, or ends its part of the iteration. */
static void next_window(unsigned index)
{
	struct connection *one = &connections[index];
	while (one->left == 0) {
		if (++one->step == steps) {
			running--;
			return;
		}
		one->left = is_hot(index, one->step) ? hot : cold;
	}
	unsigned batch = one->left < window ? one->left : window;
	one->left -= batch;
	one->wanted = batch * frame_bytes;
	one->sent = one->received = 0;
	transfer(index, 1);
	transfer(index, 0);
}

static void received(unsigned index, int result)
{
	struct connection *one = &connections[index];
	unsigned work = is_hot(index, one->step) ? hot_work : cold_work;
	unsigned before = one->received / frame_bytes;
	if (result <= 0) {
		fprintf(stderr, "error: receive: %d\n", result);
		exit(1);
	}
	one->received += (unsigned)result;
	for (unsigned frame = before; frame < one->received / frame_bytes; frame++) {
		const unsigned char *bytes = one->in + (size_t)frame * frame_bytes;
		if (bytes[0] != 0x5a || bytes[frame_bytes - 1] != 0x5a) {
			fprintf(stderr, "error: the echo is not what was sent\n");
			exit(1);
		}
		one->count++;
		total++;
		if (work > 0) sum += burn((uint32_t)one->count, work);
	}
	if (one->received < one->wanted) transfer(index, 0);
	else if (one->sent == one->wanted) next_window(index);
}

static void sent(unsigned index, int result)
{
	struct connection *one = &connections[index];
	if (result <= 0) {
		fprintf(stderr, "error: send: %d\n", result);
		exit(1);
	}
	one->sent += (unsigned)result;
	if (one->sent < one->wanted) transfer(index, 1);
	else if (one->received == one->wanted) next_window(index);
}

static void iterate(void)
{
	running = connection_count;
	for (unsigned index = 0; index < connection_count; index++) {
		connections[index].step = 0;
		connections[index].left = is_hot(index, 0) ? hot : cold;
		next_window(index);
	}
	while (running > 0) {
		ring_enter(&ring, 1, -1);
		unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
		for (; head != tail; head++) {
			struct io_uring_cqe *cqe = &ring.cqes[head & ring.cq_mask];
			unsigned index = (unsigned)(cqe->user_data >> 1);
			if (cqe->user_data & KIND_SEND) sent(index, cqe->res);
			else received(index, cqe->res);
		}
		__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
	}
}

static int64_t run_for(double seconds)
{
	int64_t begin = clock_ns(CLOCK_MONOTONIC);
	total = 0;
	sum = 0;
	for (unsigned index = 0; index < connection_count; index++) connections[index].count = 0;
	do iterate();
	while ((double)(clock_ns(CLOCK_MONOTONIC) - begin) < seconds * 1e9);
	return clock_ns(CLOCK_MONOTONIC) - begin;
}

int main(int argc, char **argv)
{
	unsigned *fields[] = { &frame_bytes, &connection_count, &steps, &hot, &cold, &rotates, &window, &hot_work, &cold_work };
	struct sockaddr_in address = { .sin_family = AF_INET };
	int one = 1;
	if (argc != 13) {
		fprintf(stderr, "usage: net-ring, as net/shapes.js says\n");
		return 2;
	}
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	for (int i = 0; i < 9; i++) *fields[i] = (unsigned)atoi(argv[2 + i]);
	if (connection_count > CONNECTIONS_MAX) return 2;
	ring_init(&ring, 256, 1024);
	for (unsigned index = 0; index < connection_count; index++) {
		struct connection *connection = &connections[index];
		connection->fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
		setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		connection->out = malloc((size_t)window * frame_bytes);
		connection->in = malloc((size_t)window * frame_bytes);
		if (connection->out == NULL || connection->in == NULL) die("malloc");
		memset(connection->out, 0x5a, (size_t)window * frame_bytes);
	}
	run_for(atof(argv[11]));
	int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	int64_t ns = run_for(atof(argv[12]));
	printf("{\"count\":%llu,\"ns\":%lld,\"cpuNs\":%lld,\"sum\":%u}\n", (unsigned long long)total, (long long)ns,
	       (long long)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu), sum);
	return 0;
}
