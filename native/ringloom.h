/*
 * The addon's own header. It offers TypeScript what Node cannot do: io_uring's three system calls, the loop hook, and the few
 * socket and thread calls that Node has no words for. Policy, protocols and data structures stay in TypeScript.
 *
 * Node-API only, and no static state: every worker thread loads the same copy. Functions return a count, a descriptor or 0,
 * or a negative error number; only wrong arguments throw.
 */
#ifndef RINGLOOM_H
#define RINGLOOM_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Words that the loop hook and TypeScript share. One thread uses them, so they are plain. */
struct rl_control {
  int32_t dirty;         /* TypeScript: something was committed outside a turn */
  int32_t backend_ready; /* TypeScript: libuv's own descriptor became readable */
  int32_t spin_mode;     /* TypeScript: 0 off, 1 fixed, 2 adaptive */
  int32_t spin_micros;   /* TypeScript: the longest spin */
  int32_t spin_score;    /* hook: 0..256, how well spinning pays */
  uint32_t enters;       /* hook: system calls */
  uint32_t sleeps;       /* hook: calls that were ready to block */
  uint32_t spin_hits;    /* hook: spins that found work */
  double idle_micros;    /* hook: time spent blocked */
  double spin_total_micros; /* hook: time spent spinning */
  int32_t error;         /* hook: the last error number of io_uring_enter that it could not handle */
  int32_t operations;    /* TypeScript: one-shot operations in flight, which may write into the thread's memory */
};

/* What src/ring/user-data.ts says: user_data is kind (12 bits) | slot (20 bits) in the low word. */
#define RL_SLOT_BITS 20
#define RL_KIND_ACCEPT 2u
#define RL_KIND_OPERATION 6u

struct rl_loop;

struct rl_ring {
  napi_env env;
  int fd;
  int references; /* one for the JavaScript handle, one for each ArrayBuffer over our memory, one for the loop hook */
  uint8_t *rings;
  size_t rings_size;
  uint8_t *entries;
  size_t entries_size;
  uint8_t *buffer_ring;
  size_t buffer_ring_size;
  int32_t *descriptors; /* TypeScript writes them: what must be closed when the thread dies; -1 for none */
  size_t descriptors_size;
  uint32_t *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail;
  uint8_t *cq_events;
  uint32_t cq_mask;
  struct rl_control *control;
  struct rl_loop *loop;
};

#define RL_CONTROL_BYTES sizeof(struct rl_control)

/* ring.c */
void rl_ring_exports(napi_env env, napi_value exports);
struct rl_ring *rl_ring_unwrap(napi_env env, napi_value value);
void rl_ring_unref(struct rl_ring *ring);
void rl_ring_quiesce(struct rl_ring *ring);
int rl_enter(struct rl_ring *ring, uint32_t submit, uint32_t wait, int timeout_ms);

/* loop.c */
void rl_loop_exports(napi_env env, napi_value exports);

/* system.c */
void rl_system_exports(napi_env env, napi_value exports);

/* arguments and results, in addon.c */
bool rl_args(napi_env env, napi_callback_info info, size_t count, napi_value *values);
int32_t rl_int(napi_env env, napi_value value);
double rl_double(napi_env env, napi_value value);
napi_value rl_number(napi_env env, double value);
void rl_set(napi_env env, napi_value object, const char *name, napi_value value);
void rl_export(napi_env env, napi_value exports, const char *name, napi_callback function);

#endif
