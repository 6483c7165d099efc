/* CPU_SET and syscall() are GNU extensions. */
#define _GNU_SOURCE
/*
 * Two threads, a ring of words each way, and a futex for who sleeps: what the hardware and the kernel allow. pair.h says how it is run.
 *
 * The consumer announces that it sleeps, looks again, and sleeps; the producer publishes, then looks whether somebody sleeps. Both orders are sequentially
 * consistent, else each could miss the other. pairs/words.js is the same algorithm in JavaScript.
 */
#include "pair.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPACITY 4096

struct lane {
	_Alignas(64) uint32_t tail; /* written by the producer */
	_Alignas(64) uint32_t head; /* the consumer's own */
	_Alignas(64) uint32_t is_parked; /* set by the consumer, cleared by whoever wakes it */
	_Alignas(64) uint32_t cells[CAPACITY];
};

static struct lane to_server, to_client;
static pthread_t server;

static inline void push(struct lane *lane, uint32_t value)
{
	uint32_t tail = __atomic_load_n(&lane->tail, __ATOMIC_RELAXED);
	lane->cells[tail % CAPACITY] = value;
	if (regime == REGIME_BUSY) {
		__atomic_store_n(&lane->tail, tail + 1, __ATOMIC_RELEASE);
		return;
	}
	__atomic_store_n(&lane->tail, tail + 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&lane->is_parked, __ATOMIC_SEQ_CST) != 0 && __atomic_exchange_n(&lane->is_parked, 0, __ATOMIC_SEQ_CST) != 0) {
		syscall(SYS_futex, &lane->is_parked, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void park(struct lane *lane)
{
	__atomic_store_n(&lane->is_parked, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&lane->tail, __ATOMIC_SEQ_CST) == lane->head && __atomic_load_n(&lane->is_parked, __ATOMIC_SEQ_CST) != 0) {
		syscall(SYS_futex, &lane->is_parked, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	}
	__atomic_store_n(&lane->is_parked, 0, __ATOMIC_SEQ_CST);
}

static inline uint32_t pull(struct lane *lane)
{
	int64_t spin_end = 0;
	for (uint32_t spins = 1; __atomic_load_n(&lane->tail, __ATOMIC_ACQUIRE) == lane->head; spins++) {
		if (regime == REGIME_PARKED) {
			park(lane);
		} else if (regime == REGIME_ADAPTIVE && spins % 64 == 0) {
			int64_t now = clock_ns(CLOCK_MONOTONIC);
			if (spin_end == 0) spin_end = now + SPIN_NS;
			else if (now > spin_end) park(lane);
		}
		relax();
	}
	return lane->cells[lane->head++ % CAPACITY];
}

static void *serve(void *argument)
{
	uint32_t sum = 0;
	int is_one_way = *(int *)argument;
	pin(server_core);
	for (;;) {
		uint32_t value = pull(&to_server);
		if (value == VALUE_END) return NULL;
		if (value == VALUE_FLUSH) {
			push(&to_client, sum);
			sum = 0;
		} else if (is_one_way) {
			sum += value;
		} else {
			push(&to_client, value + 1);
		}
	}
}

static int is_one_way;

static void start_server(void)
{
	if (pthread_create(&server, NULL, serve, &is_one_way) != 0) abort();
}

static void stop_server(void)
{
	push(&to_server, VALUE_END);
	pthread_join(server, NULL);
}

static void client_send(uint32_t value)
{
	push(&to_server, value);
}

static void client_flush(void)
{
}

static uint32_t client_receive(void)
{
	return pull(&to_client);
}

int main(int argc, char **argv)
{
	is_one_way = argc > 1 && strcmp(argv[1], "one-way") == 0;
	return run_pair(argc, argv);
}
