/*
 * The inverted loop: not libuv waits but what the driver brought, a ring or an epoll set (`struct rl_source`), and that watches libuv. This
 * hook, called by libuv before it would poll, blocks in io_uring_enter or epoll_wait. A ring needs it: with IORING_SETUP_DEFER_TASKRUN, watching its
 * descriptor from libuv's epoll never wakes up. An epoll set would do without, but saves libuv's epoll_wait and its callbacks in each turn.
 * A ring watches libuv with a one-shot POLL_ADD that TypeScript renews; an epoll set has libuv's descriptor in it, level-triggered.
 *
 *     uv_run:  timers → (idle) → prepare: HOOK → poll, with no timeout → check → closing
 *
 *     HOOK:    flush what was committed outside a turn
 *              ask libuv how long it may sleep        (0: it has work, so look without waiting and go back to it)
 *              submit and wait                        (one system call; on epoll one more for each socket that is ready)
 *              run one turn in TypeScript
 *              libuv's descriptor ready or its timer due? → back to libuv, else again
 *
 * What it leans on, and test/ring/loop.test.ts would notice: uv_run asks for its own timeout after the prepare callbacks, an active idle
 * handle makes that timeout zero, uv_backend_timeout answers 0 when something waits that the descriptor does not show (a closing
 * handle, an immediate, a watcher not yet in epoll), and thread-safe wake-ups arrive through that descriptor.
 *
 * libuv must never be the one that blocks: a readiness completion can be stale by the time libuv looks, and a thread asleep in epoll
 * hears nothing from the source. Hence the idle handle, active whenever the hook is not running.
 *
 * The other mode, `uv`, polls the source's descriptor with libuv (a ring has no DEFER_TASKRUN then) and is what remains if a future libuv breaks the above.
 *
 * Several sources on one thread: two inverted hooks would keep each other awake, because each makes libuv's timeout zero while the other one
 * asks for it. So TypeScript inverts one (`hasInvertedLoop`) and lets libuv poll the others. Their own hook comes too seldom while the inverted one goes
 * round without libuv, and libuv runs prepare callbacks in an order that is not ours; so the inverted hook settles them before each sleep.
 */
#define _GNU_SOURCE
#include "libuv.h"
#include "ringloom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>


/* Words of a doorbell, as in src/shared/bell.ts: other threads write the first, this one the second. */
enum { BELL_RUNG = 0, BELL_ASLEEP = 16, BELL_WORDS = 32 };
/* The loops of one thread, the addon's instance data. */
struct rl_thread {
  struct rl_loop *loops;
};

enum { SPIN_OFF = 0, SPIN_FIXED = 1, SPIN_ADAPTIVE = 2 };
enum { SCORE_MAX = 256, SCORE_PAYS = 96, WAKE_COST_MICROS = 40 };

struct rl_loop {
  struct rl_thread *thread;
  struct rl_loop *next; /* of this thread */
  bool inverted;
  struct rl_source *source;
  uv_loop_t *uv;
  uv_handle_t *prepare;
  uv_handle_t *idle;
  uv_handle_t *poll; /* mode `uv` only */
  napi_ref callback;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  napi_ref pulse_owner;
  uint32_t *pulse;         /* shared memory, `src/observe/heartbeat.ts`; this thread is its only writer. NULL: nobody wants to know */
  double turn_began_micros; /* 0: not yet */
  bool stopped;
  int closing;
};

/* Whoever watches us sees an odd word that does not change when this thread hangs; an even one is asleep, and well. Pairs with Pulse.observe. */
static void publish_awake(struct rl_loop *loop) {
  if (loop->pulse != NULL) __atomic_store_n(loop->pulse, (*loop->pulse + 1) | 1, __ATOMIC_RELEASE);
}

static void publish_asleep(struct rl_loop *loop) {
  if (loop->pulse != NULL) __atomic_store_n(loop->pulse, (*loop->pulse + 1) & ~1u, __ATOMIC_RELEASE);
}

static double now_micros(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* Runs one turn in TypeScript. False when this environment is going away and nothing may be called any more. */
static bool run_turn(struct rl_loop *loop) {
  napi_env env = loop->source->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return false;
  napi_value callback, receiver, result;
  bool alive = napi_get_reference_value(env, loop->callback, &callback) == napi_ok && napi_get_global(env, &receiver) == napi_ok;
  if (alive) {
    napi_status status = napi_make_callback(env, loop->context, receiver, callback, 0, NULL, &result);
    if (status != napi_ok) {
      /* An exception that nobody takes here disappears. Without a pending one, the failure means that the thread is ending. */
      bool pending = false;
      napi_is_exception_pending(env, &pending);
      napi_value error;
      if (pending && napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
      else alive = false;
    }
  }
  napi_close_handle_scope(env, scope);
  return alive && !loop->stopped;
}

/* Another thread has rung the doorbell, and no turn has taken notice yet. */
static bool has_rung(const struct rl_source *source) {
  return source->bell != NULL && __atomic_load_n(source->bell + BELL_RUNG, __ATOMIC_SEQ_CST) != 0;
}

static bool has_work(const struct rl_source *source) {
  return source->kind->ready(source) || source->control->dirty || has_rung(source);
}

/* Watches for work where that has paid lately. False when none came and it is time to sleep, else `result` is that of the last look. */
static bool spin(struct rl_loop *loop, int *result) {
  struct rl_source *source = loop->source;
  struct rl_control *control = source->control;
  int mode = control->spin_mode;
  if (mode != SPIN_FIXED && (mode != SPIN_ADAPTIVE || control->spin_score < SCORE_PAYS)) return false;
  *result = source->kind->enter(source, 0);
  if (*result < 0 || source->kind->ready(source)) return true;
  double start = now_micros(), now = start;
  bool hit = false;
  while (!hit && now - start < control->spin_micros) {
    for (int pause = 0; pause < 16 && !hit; pause++) {
      hit = has_rung(source) || source->kind->peek(source);
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#endif
    }
    now = now_micros();
  }
  control->spin_total_micros += now - start;
  control->spin_score += hit ? (SCORE_MAX - control->spin_score) / 8 : -(control->spin_score / 8);
  if (!hit) return false;
  control->spin_hits++;
  *result = has_work(source) ? 0 : source->kind->enter(source, 0);
  return true;
}

/* Waits at most `timeout_ms` (-1: for ever). */
static int sleep_in_kernel(struct rl_loop *loop, int timeout_ms) {
  struct rl_source *source = loop->source;
  struct rl_control *control = source->control;
  int mode = control->spin_mode;
  control->sleeps++;
  double start = now_micros();
  publish_asleep(loop);
  /* Who rings behind the store sees it and writes to the descriptor; who rang before it is seen by the load. */
  if (source->bell != NULL) __atomic_store_n(source->bell + BELL_ASLEEP, 1, __ATOMIC_SEQ_CST);
  int result = source->kind->enter(source, has_work(source) ? 0 : timeout_ms);
  if (source->bell != NULL) __atomic_store_n(source->bell + BELL_ASLEEP, 0, __ATOMIC_SEQ_CST);
  publish_awake(loop);
  loop->turn_began_micros = now_micros();
  double slept = loop->turn_began_micros - start;
  control->idle_micros += slept;
  /* A short sleep would have been a successful spin; that is how an adaptive spin that was given up starts again. */
  if (mode == SPIN_ADAPTIVE && control->spin_score < SCORE_PAYS && slept < control->spin_micros + WAKE_COST_MICROS)
    control->spin_score += (SCORE_MAX - control->spin_score) / 16;
  else if (mode == SPIN_ADAPTIVE && control->spin_score < SCORE_PAYS)
    control->spin_score -= control->spin_score / 8;
  return result;
}

static void on_idle(uv_handle_t *handle) {
  (void)handle;
}

/* Runs what a source that libuv polls can do without waiting. */
static void settle_polled(struct rl_loop *loop) {
  struct rl_source *source = loop->source;
  if ((source->control->dirty || has_rung(source)) && !run_turn(loop)) return;
  if (source->kind->settle(source) && !run_turn(loop)) return;
  /* What the turn left for the next one must not wait for libuv's sleep to end. */
  if (has_work(source)) uv_idle_start(loop->idle, on_idle);
  else uv_idle_stop(loop->idle);
}

/* A turn can leave work for a source that was settled before it: then nobody sleeps, and the next round finds it. */
static void stay_awake_for_polled(const struct rl_thread *thread) {
  for (struct rl_loop *loop = thread->loops; loop != NULL; loop = loop->next)
    if (!loop->inverted && !loop->stopped && has_work(loop->source)) uv_idle_start(loop->idle, on_idle);
}

/* A turn may stop any loop of the thread. A stopped one keeps its memory and its place in the list until libuv has closed its handles, so the walk goes on. */
static void settle_others(struct rl_loop *loop) {
  for (struct rl_loop *other = loop->thread->loops; other != NULL; other = other->next)
    if (!other->inverted && !other->stopped) settle_polled(other);
  stay_awake_for_polled(loop->thread);
}

/* Asks TypeScript whether the thread may block. What it does then can leave work, or change how long libuv may sleep. */
static bool ask_to_park(struct rl_loop *loop, int *timeout_ms) {
  loop->source->control->parking = 1;
  if (!run_turn(loop)) return false;
  settle_others(loop);
  if (loop->stopped) return false;
  uv_update_time(loop->uv);
  *timeout_ms = uv_backend_timeout(loop->uv);
  return true;
}

/* Notes how long the turn took that ends now. By libuv's clock, which has been read: whole milliseconds, of CLOCK_MONOTONIC. */
static void note_turn(struct rl_loop *loop) {
  double now = (double)uv_now(loop->uv) * 1e3;
  double micros = loop->turn_began_micros == 0 ? 0 : now - loop->turn_began_micros;
  if (micros > loop->source->control->turn_micros_max) loop->source->control->turn_micros_max = micros;
  loop->turn_began_micros = now;
}

/* One pass; true while the hook may go round again, false when it is libuv's turn. */
static bool hook_pass(struct rl_loop *loop) {
  struct rl_source *source = loop->source;
  struct rl_control *control = source->control;
  publish_awake(loop);
  if ((control->dirty || has_rung(source)) && !run_turn(loop)) return false;
  settle_others(loop);
  if (loop->stopped) return false;
  uv_update_time(loop->uv);
  note_turn(loop);
  int timeout = uv_backend_timeout(loop->uv);
  int result;
  /* A turn can leave work for the next one: microtasks behind it may commit. */
  if (timeout == 0 || has_work(source)) {
    result = source->kind->enter(source, 0);
  } else if (!spin(loop, &result)) {
    if (control->asks_to_park && !ask_to_park(loop, &timeout)) return false;
    result = sleep_in_kernel(loop, timeout);
  }
  /* EINTR: a signal. ETIME: a libuv timer is due. EAGAIN, EBUSY: the kernel wants completions reaped first. Anything else is a bug of ours. */
  if (result < 0 && result != -EINTR && result != -ETIME && result != -EAGAIN && result != -EBUSY) control->error = -result;
  if ((has_work(source) || control->error || control->parking) && !run_turn(loop)) return false;
  if (control->backend_ready) {
    control->backend_ready = 0;
    return false;
  }
  return timeout != 0;
}

static void on_prepare(uv_handle_t *handle) {
  struct rl_loop *loop = uv_handle_get_data(handle);
  uv_idle_stop(loop->idle);
  while (!loop->stopped && hook_pass(loop)) continue;
  if (!loop->stopped) uv_idle_start(loop->idle, on_idle);
}

static void on_prepare_uv(uv_handle_t *handle) {
  struct rl_loop *loop = uv_handle_get_data(handle);
  settle_polled(loop);
  stay_awake_for_polled(loop->thread);
}

static void on_poll_uv(uv_handle_t *handle, int status, int events) {
  (void)events;
  struct rl_loop *loop = uv_handle_get_data(handle);
  if (status != 0) return;
  loop->source->kind->fetch(loop->source);
  run_turn(loop);
}

static void on_closed(uv_handle_t *handle) {
  struct rl_loop *loop = uv_handle_get_data(handle);
  free(handle);
  if (--loop->closing > 0) return;
  napi_async_cleanup_hook_handle cleanup = loop->cleanup;
  struct rl_loop **place = &loop->thread->loops;
  while (*place != loop) place = &(*place)->next;
  *place = loop->next;
  loop->source->loop = NULL;
  rl_source_unref(loop->source);
  free(loop);
  if (cleanup != NULL) napi_remove_async_cleanup_hook(cleanup);
}

static void stop_loop(struct rl_loop *loop) {
  if (loop->stopped) return;
  loop->stopped = true;
  uv_prepare_stop(loop->prepare);
  uv_idle_stop(loop->idle);
  if (loop->poll != NULL) uv_poll_stop(loop->poll);
  /* Nobody publishes turns any more, and a thread that goes on without its driver, in a hook of the program's, does not hang. */
  publish_asleep(loop);
  loop->source->bell = NULL;
  rl_source_close(loop->source);
  if (loop->callback != NULL) napi_delete_reference(loop->source->env, loop->callback);
  if (loop->context != NULL) napi_async_destroy(loop->source->env, loop->context);
  if (loop->pulse_owner != NULL) napi_delete_reference(loop->source->env, loop->pulse_owner);
  loop->callback = NULL;
  loop->context = NULL;
  loop->pulse_owner = NULL;
  loop->pulse = NULL;
  loop->closing = loop->poll == NULL ? 2 : 3;
  uv_close(loop->prepare, on_closed);
  uv_close(loop->idle, on_closed);
  if (loop->poll != NULL) uv_close(loop->poll, on_closed);
}

/* The thread is ending (worker.terminate(), process.exit()): the handles must be closed before libuv's loop is. */
static void on_cleanup(napi_async_cleanup_hook_handle handle, void *data) {
  (void)handle;
  stop_loop(data);
}

static uv_handle_t *new_handle(int type, const char *name) {
  /* A libuv that numbers its handle types differently must not be handed a block of the wrong size. */
  const char *actual = uv_handle_type_name(type);
  if (actual == NULL || strcmp(actual, name) != 0) return NULL;
  return calloc(1, uv_handle_size(type));
}

/* startLoop(handle, turn, inverted): 0, or a negative error number. */
static napi_value start_loop(napi_env env, napi_callback_info info) {
  napi_value args[3], name;
  if (!rl_args(env, info, 3, args)) return NULL;
  struct rl_source *source = rl_source_unwrap(env, args[0], NULL);
  if (source == NULL) return NULL;
  if (source->loop != NULL) return rl_number(env, -EALREADY);
  struct rl_loop *loop = calloc(1, sizeof *loop);
  if (loop == NULL) return rl_number(env, -ENOMEM);
  bool inverted = rl_int(env, args[2]) != 0;
  loop->inverted = inverted;
  loop->prepare = new_handle(UV_PREPARE, "prepare");
  loop->idle = new_handle(UV_IDLE, "idle");
  if (!inverted) loop->poll = new_handle(UV_POLL, "poll");
  bool ready = napi_get_instance_data(env, (void **)&loop->thread) == napi_ok && loop->thread != NULL && loop->prepare != NULL && loop->idle != NULL && (inverted || loop->poll != NULL) &&
               napi_get_uv_event_loop(env, (struct uv_loop_s **)&loop->uv) == napi_ok &&
               napi_create_reference(env, args[1], 1, &loop->callback) == napi_ok &&
               napi_create_string_utf8(env, "ringloom", NAPI_AUTO_LENGTH, &name) == napi_ok &&
               napi_async_init(env, NULL, name, &loop->context) == napi_ok;
  /* Last, because only an initialised handle has to be closed. */
  if (!ready || (!inverted && uv_poll_init(loop->uv, loop->poll, source->fd) != 0)) {
    if (loop->callback != NULL) napi_delete_reference(env, loop->callback);
    if (loop->context != NULL) napi_async_destroy(env, loop->context);
    free(loop->prepare);
    free(loop->idle);
    free(loop->poll);
    free(loop);
    return rl_number(env, -ENOTSUP);
  }
  loop->source = source;
  loop->next = loop->thread->loops;
  loop->thread->loops = loop;
  source->loop = loop;
  source->references++;
  uv_prepare_init(loop->uv, loop->prepare);
  uv_idle_init(loop->uv, loop->idle);
  uv_handle_set_data(loop->prepare, loop);
  uv_handle_set_data(loop->idle, loop);
  uv_unref(loop->idle);
  uv_prepare_start(loop->prepare, inverted ? on_prepare : on_prepare_uv);
  if (inverted) {
    uv_idle_start(loop->idle, on_idle);
  } else {
    uv_handle_set_data(loop->poll, loop);
    uv_unref(loop->poll);
    uv_poll_start(loop->poll, UV_READABLE, on_poll_uv);
  }
  napi_add_async_cleanup_hook(env, on_cleanup, loop, &loop->cleanup);
  return rl_number(env, 0);
}

/* stopLoop(handle): closes the hook and what it waited on. */
static napi_value stop_loop_call(napi_env env, napi_callback_info info) {
  napi_value args[1];
  if (!rl_args(env, info, 1, args)) return NULL;
  struct rl_source *source = rl_source_unwrap(env, args[0], NULL);
  if (source != NULL && source->loop != NULL) stop_loop(source->loop);
  return NULL;
}

/* watchBell(handle, words): from now on the hook watches these words, which lie in shared memory and must outlive it. */
static napi_value watch_bell(napi_env env, napi_callback_info info) {
  napi_value args[2];
  napi_typedarray_type type;
  size_t length = 0;
  void *words = NULL;
  if (!rl_args(env, info, 2, args)) return NULL;
  struct rl_source *source = rl_source_unwrap(env, args[0], NULL);
  if (source == NULL) return NULL;
  bool fits = napi_get_typedarray_info(env, args[1], &type, &length, &words, NULL, NULL) == napi_ok && type == napi_int32_array && length >= BELL_WORDS;
  if (fits) source->bell = words;
  return rl_number(env, fits ? 0 : -EINVAL);
}

/* hasInvertedLoop(): whether a source of this thread sleeps instead of libuv. A second one must not. */
static napi_value has_inverted_loop(napi_env env, napi_callback_info info) {
  (void)info;
  struct rl_thread *thread = NULL;
  napi_value result;
  bool found = false;
  napi_get_instance_data(env, (void **)&thread);
  for (struct rl_loop *loop = thread == NULL ? NULL : thread->loops; loop != NULL; loop = loop->next)
    if (loop->inverted && !loop->stopped) found = true;
  napi_get_boolean(env, found, &result);
  return result;
}

/*
 * publishPulse(handle, words): from now on word 0 of the Int32Array tells whether the thread is awake, and changes with each turn. 0, or a negative
 * error number: -ENOTSUP where libuv does the waiting, so that only a timer can tell.
 */
static napi_value publish_pulse(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  struct rl_source *source = rl_source_unwrap(env, args[0], NULL);
  if (source == NULL) return NULL;
  struct rl_loop *loop = source->loop;
  if (loop == NULL || loop->stopped || !loop->inverted) return rl_number(env, -ENOTSUP);
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void *data = NULL;
  if (napi_get_typedarray_info(env, args[1], &type, &length, &data, NULL, NULL) != napi_ok || type != napi_int32_array || length == 0) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "Cannot publish the pulse: the value is not an Int32Array with a word");
    return NULL;
  }
  if (loop->pulse_owner != NULL) return rl_number(env, -EALREADY);
  if (napi_create_reference(env, args[1], 1, &loop->pulse_owner) != napi_ok) return rl_number(env, -ENOMEM);
  loop->pulse = data;
  publish_awake(loop);
  return rl_number(env, 0);
}

/* keepAlive(handle, on): whether the hook keeps the thread's event loop alive. */
static napi_value keep_alive(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  struct rl_source *source = rl_source_unwrap(env, args[0], NULL);
  if (source == NULL || source->loop == NULL || source->loop->stopped) return NULL;
  if (rl_int(env, args[1])) uv_ref(source->loop->prepare);
  else uv_unref(source->loop->prepare);
  return NULL;
}

/* backendFd(): the descriptor that libuv waits on in this thread. */
static napi_value backend_fd(napi_env env, napi_callback_info info) {
  (void)info;
  uv_loop_t *uv = NULL;
  if (napi_get_uv_event_loop(env, (struct uv_loop_s **)&uv) != napi_ok) return rl_number(env, -ENOTSUP);
  return rl_number(env, uv_backend_fd(uv));
}

static void free_thread(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

void rl_loop_exports(napi_env env, napi_value exports) {
  /* Without memory for it no loop can be started, which `startLoop` says. */
  struct rl_thread *thread = calloc(1, sizeof *thread);
  if (thread != NULL && napi_set_instance_data(env, thread, free_thread, NULL) != napi_ok) free(thread);
  rl_export(env, exports, "hasInvertedLoop", has_inverted_loop);
  rl_export(env, exports, "publishPulse", publish_pulse);
  rl_export(env, exports, "startLoop", start_loop);
  rl_export(env, exports, "stopLoop", stop_loop_call);
  rl_export(env, exports, "watchBell", watch_bell);
  rl_export(env, exports, "keepAlive", keep_alive);
  rl_export(env, exports, "backendFd", backend_fd);
}
