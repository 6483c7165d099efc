/*
 * What the two-thread programs futex-pair.c and msg-ring-pair.c share: arguments, clocks, cores and the shape of a run.
 *
 *     <program> CASE WARMUP_SECONDS SECONDS CORE_CLIENT CORE_SERVER
 *
 * CASE is rtt-busy, rtt-adaptive, rtt-parked, one-way, cold-start or warm-start; a core of -1 pins nothing. One iteration is 256 rounds (the client sends a value, the
 * server sends it back plus one), 2,048 values one way and then a flush answered with their sum, or a session: 64 rounds with a thread that is
 * made and joined for it (cold) or kept and found asleep (warm). Every value is checked. Prints one line of JSON; `count` is rounds, values or sessions.
 */
#ifndef RINGLOOM_BENCH_PAIR_H
#define RINGLOOM_BENCH_PAIR_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 256
#define ONE_WAY_COUNT 2048
#define SESSION_ROUNDS 64
/* How long the adaptive regime spins before it blocks: about two wake-ups of a sleeping core. */
#define SPIN_NS 50000
/* A warm session finds its thread asleep after this pause. */
#define IDLE_NS 1000000

/* Values above all payloads. */
#define VALUE_FLUSH 0xfffffff0U
#define VALUE_END 0xfffffff1U

enum regime { REGIME_BUSY, REGIME_ADAPTIVE, REGIME_PARKED };

static enum regime regime;
static int client_core;
static int server_core;

static int64_t clock_ns(clockid_t id)
{
	struct timespec time;
	clock_gettime(id, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void pin(int core)
{
	cpu_set_t set;
	if (core < 0) return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)core, &set);
	pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static void wrong(uint32_t got, uint32_t expected)
{
	fprintf(stderr, "error: got the value %u, not %u\n", got, expected);
	exit(1);
}

/* What a program of this kind provides; the values 1 to VALUE_FLUSH - 1 are payload. */
static void start_server(void);
static void stop_server(void);
static void client_send(uint32_t value);
static void client_flush(void);
static uint32_t client_receive(void);

static void run_rounds(uint32_t count)
{
	for (uint32_t i = 1; i <= count; i++) {
		client_send(i);
		client_flush();
		uint32_t got = client_receive();
		if (got != i + 1) wrong(got, i + 1);
	}
}

static void run_one_way(void)
{
	uint32_t sum = 0;
	for (uint32_t i = 1; i <= ONE_WAY_COUNT; i++) {
		client_send(i);
		sum += i;
	}
	client_send(VALUE_FLUSH);
	client_flush();
	uint32_t got = client_receive();
	if (got != sum) wrong(got, sum);
}

struct measured {
	uint64_t count;
	int64_t ns;
	int64_t cpu_ns;
	int64_t wall_ns;
};

static struct measured run_for(const char *name, double seconds)
{
	struct measured measured = { 0, 0, 0, 0 };
	int64_t cpu_before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	int64_t begin = clock_ns(CLOCK_MONOTONIC);
	int64_t now = begin;
	while (now - begin < (int64_t)(seconds * 1e9)) {
		if (strcmp(name, "warm-start") == 0) {
			struct timespec pause = { 0, IDLE_NS };
			nanosleep(&pause, NULL);
			now = clock_ns(CLOCK_MONOTONIC);
		}
		int64_t started = now;
		if (strcmp(name, "one-way") == 0) {
			run_one_way();
			measured.count += ONE_WAY_COUNT;
		} else if (strcmp(name, "cold-start") == 0) {
			start_server();
			run_rounds(SESSION_ROUNDS);
			stop_server();
			measured.count++;
		} else if (strcmp(name, "warm-start") == 0) {
			run_rounds(SESSION_ROUNDS);
			measured.count++;
		} else {
			run_rounds(ROUNDS);
			measured.count += ROUNDS;
		}
		now = clock_ns(CLOCK_MONOTONIC);
		measured.ns += now - started;
	}
	measured.wall_ns = now - begin;
	measured.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_before;
	return measured;
}

static int run_pair(int argc, char **argv)
{
	static const char *const names[] = { "rtt-busy", "rtt-adaptive", "rtt-parked", "one-way", "cold-start", "warm-start" };
	int is_known = 0;
	for (size_t i = 0; argc == 6 && i < sizeof names / sizeof *names; i++) is_known |= strcmp(argv[1], names[i]) == 0;
	if (!is_known) {
		fprintf(stderr, "usage: %s CASE WARMUP_SECONDS SECONDS CORE_CLIENT CORE_SERVER\n", argv[0]);
		return 2;
	}
	const char *name = argv[1];
	int is_cold = strcmp(name, "cold-start") == 0;
	regime = strcmp(name, "rtt-busy") == 0 ? REGIME_BUSY : strcmp(name, "rtt-parked") == 0 ? REGIME_PARKED : REGIME_ADAPTIVE;
	client_core = atoi(argv[4]);
	server_core = atoi(argv[5]);
	pin(client_core);
	if (!is_cold) start_server();
	run_for(name, atof(argv[2]));
	struct measured measured = run_for(name, atof(argv[3]));
	if (!is_cold) stop_server();
	printf("{\"count\":%llu,\"ns\":%lld,\"cpuNs\":%lld,\"wallNs\":%lld}\n", (unsigned long long)measured.count, (long long)measured.ns,
	       (long long)measured.cpu_ns, (long long)measured.wall_ns);
	return 0;
}

#endif
