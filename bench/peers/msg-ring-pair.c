/* CPU_SET and syscall() are GNU extensions. */
#define _GNU_SOURCE
/*
 * Two threads, an io_uring each, and IORING_OP_MSG_RING between them. pair.h says how it is run.
 *
 * Who polls completions without a system call needs a ring on which a sender posts them directly; who sleeps wakes sooner with DEFER_TASKRUN. So rtt-parked uses the
 * latter, everything else the former. One way, 64 messages are submitted with one system call, and without the sender's own completions.
 */
#include "pair.h"
#include "ring.h"

#define BATCH 64
#define OPERATION_MSG_RING 40

struct side {
	struct ring ring;
	int target;
	unsigned unsent;
};

static struct side client, server;
static pthread_t server_thread;
static pthread_barrier_t is_ready;
static int is_one_way;

static void open_side(struct side *side)
{
	ring_init_with(&side->ring, 256, 8192, regime == REGIME_PARKED ? SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN : SETUP_SINGLE_ISSUER);
	side->unsent = 0;
}

static void close_side(struct side *side)
{
	ring_close(&side->ring);
}

static inline void send_to(struct side *side, uint32_t value)
{
	struct io_uring_sqe *sqe = ring_sqe(&side->ring);
	sqe->opcode = OPERATION_MSG_RING;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->fd = side->target;
	/* The receiver's completion has this as its result and user_data; 0 is the command "data". */
	sqe->len = 0;
	sqe->off = value;
	if (++side->unsent >= BATCH) {
		ring_enter(&side->ring, 0, -1);
		side->unsent = 0;
	}
}

static inline void flush_side(struct side *side)
{
	if (side->unsent == 0) return;
	ring_enter(&side->ring, 0, -1);
	side->unsent = 0;
}

static inline uint32_t receive_at(struct side *side)
{
	struct ring *ring = &side->ring;
	unsigned head = *ring->cq_head;
	int64_t spin_end = 0;
	for (uint32_t spins = 1; head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE); spins++) {
		if (regime == REGIME_PARKED) {
			ring_enter(ring, 1, -1);
		} else if (regime == REGIME_ADAPTIVE && spins % 64 == 0) {
			int64_t now = clock_ns(CLOCK_MONOTONIC);
			if (spin_end == 0) spin_end = now + SPIN_NS;
			else if (now > spin_end) ring_enter(ring, 1, -1);
		}
		relax();
	}
	const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];
	uint32_t value = (uint32_t)cqe->user_data;
	if (cqe->res < 0) {
		fprintf(stderr, "error: MSG_RING: %s\n", strerror(-cqe->res));
		exit(cqe->res == -EINVAL ? EXIT_UNAVAILABLE : 1);
	}
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return value;
}

static void *serve(void *argument)
{
	uint32_t sum = 0;
	(void)argument;
	pin(server_core);
	open_side(&server);
	pthread_barrier_wait(&is_ready);
	for (;;) {
		uint32_t value = receive_at(&server);
		if (value == VALUE_END) break;
		if (value == VALUE_FLUSH) {
			send_to(&server, sum);
			sum = 0;
		} else if (is_one_way) {
			sum += value;
			continue;
		} else {
			send_to(&server, value + 1);
		}
		flush_side(&server);
	}
	close_side(&server);
	return NULL;
}

static void start_server(void)
{
	pthread_barrier_init(&is_ready, NULL, 2);
	open_side(&client);
	if (pthread_create(&server_thread, NULL, serve, NULL) != 0) abort();
	pthread_barrier_wait(&is_ready);
	client.target = server.ring.fd;
	server.target = client.ring.fd;
}

static void stop_server(void)
{
	send_to(&client, VALUE_END);
	flush_side(&client);
	pthread_join(server_thread, NULL);
	close_side(&client);
	pthread_barrier_destroy(&is_ready);
}

static void client_send(uint32_t value)
{
	send_to(&client, value);
}

static void client_flush(void)
{
	flush_side(&client);
}

static uint32_t client_receive(void)
{
	return receive_at(&client);
}

int main(int argc, char **argv)
{
	is_one_way = argc > 1 && strcmp(argv[1], "one-way") == 0;
	return run_pair(argc, argv);
}
