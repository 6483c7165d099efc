/*
 * The addon's own header. It offers TypeScript what Node cannot do: io_uring's three system calls, epoll in batches, the loop hook, and the
 * few socket and thread calls that Node has no words for. Policy, protocols and data structures stay in TypeScript.
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
  int32_t backend_ready; /* libuv's own descriptor became readable. On a ring TypeScript says so, on an epoll set the set does */
  int32_t spin_mode;     /* TypeScript: 0 off, 1 fixed, 2 adaptive */
  int32_t spin_micros;   /* TypeScript: the longest spin */
  int32_t spin_score;    /* hook: 0..256, how well spinning pays */
  uint32_t enters;       /* hook: calls of io_uring_enter or epoll_wait */
  uint32_t sleeps;       /* hook: calls that were ready to block */
  uint32_t spin_hits;    /* hook: spins that found work */
  double idle_micros;    /* hook: time spent blocked */
  double spin_total_micros; /* hook: time spent spinning */
  int32_t error;         /* hook: the last error number of a wait that it could not handle */
  int32_t operations;    /* TypeScript: one-shot operations in flight, which may write into the thread's memory */
  int32_t asks_to_park;  /* TypeScript: 1 when the hook must ask before it blocks */
  int32_t parking;       /* the hook: 1 asks. TypeScript: 2 agrees, 0 refuses, or has noticed that the sleep is over */
  double turn_micros_max; /* hook: the longest turn of the event loop since TypeScript put 0 here, of an inverted loop */
};

/* What src/ring/user-data.ts says: user_data is kind (12 bits) | slot (20 bits) in the low word. */
#define RL_SLOT_BITS 20
#define RL_SLOT_MASK ((1u << RL_SLOT_BITS) - 1)
#define RL_KIND_LOOP 1u
#define RL_KIND_ACCEPT 2u
#define RL_KIND_RECV 3u
#define RL_KIND_SEND 4u
#define RL_KIND_CONNECT 5u
#define RL_KIND_OPERATION 6u
#define RL_KIND_BELL 8u

struct rl_loop;
struct rl_source;

/* What the loop hook needs of that which it waits on: a ring or an epoll set. */
struct rl_source_kind {
  bool (*ready)(const struct rl_source *source);          /* something is there for a turn, or for a call of `enter` */
  int (*enter)(struct rl_source *source, int timeout_ms); /* passes on what TypeScript queued; waits so long (0: not, -1: for ever) */
  bool (*peek)(struct rl_source *source);                 /* what spinning repeats: has work come? */
  bool (*settle)(struct rl_source *source);               /* before libuv sleeps (mode `uv`); true when that found work for a turn */
  void (*fetch)(struct rl_source *source);                /* libuv found the descriptor readable (mode `uv`) */
  void (*quiesce)(struct rl_source *source);              /* ends what is in flight, before the descriptor is closed */
  void (*destroy)(struct rl_source *source);              /* unmaps, when nobody holds the memory any more */
};

struct rl_source {
  const struct rl_source_kind *kind;
  napi_env env;
  int fd;
  int references; /* one for the JavaScript handle, one for each ArrayBuffer over our memory, one for the loop hook */
  int32_t *descriptors; /* TypeScript writes them: what must be closed when the thread dies; -1 for none */
  size_t descriptors_size;
  struct rl_control *control;
  int32_t *bell; /* the doorbell's words in shared memory (src/shared/bell.ts), or NULL */
  struct rl_loop *loop;
};

/* source.c */
struct rl_source *rl_source_new(napi_env env, const struct rl_source_kind *kind, size_t size, int fd);
struct rl_source *rl_source_unwrap(napi_env env, napi_value value, const struct rl_source_kind *kind);
void *rl_map(size_t size);
napi_value rl_source_lend(struct rl_source *source, void *data, size_t size);
napi_value rl_source_describe(struct rl_source *source);
bool rl_source_holds(const struct rl_source *source, int fd);
void rl_source_close(struct rl_source *source);
void rl_source_unref(struct rl_source *source);
void rl_source_exports(napi_env env, napi_value exports);

/* batch.c */
enum { RL_BATCH_MAX = 128, RL_BATCH_NOT_RUN = INT32_MIN };
struct rl_batch;
struct rl_batch *rl_batch_new(uint32_t *calls);
void rl_batch_free(struct rl_batch *batch);
bool rl_batch_add(struct rl_batch *batch, int fd, bool is_send, const void *data, size_t size);
const int32_t *rl_batch_run(struct rl_batch *batch);

/* ring.c, epoll.c, loop.c, watch.c, system.c */
void rl_ring_exports(napi_env env, napi_value exports);
void rl_epoll_exports(napi_env env, napi_value exports);
void rl_loop_exports(napi_env env, napi_value exports);
void rl_watch_exports(napi_env env, napi_value exports);
void rl_system_exports(napi_env env, napi_value exports);

/* arguments and results, in addon.c */
bool rl_args(napi_env env, napi_callback_info info, size_t count, napi_value *values);
int32_t rl_int(napi_env env, napi_value value);
double rl_double(napi_env env, napi_value value);
napi_value rl_number(napi_env env, double value);
void rl_set(napi_env env, napi_value object, const char *name, napi_value value);
void rl_export(napi_env env, napi_value exports, const char *name, napi_callback function);

#endif
