/* Watches: libuv tells TypeScript when a descriptor can be read. For sockets that no driver has, on any driver; src/net/descriptor-watch.ts. */
#include "libuv.h"
#include "ringloom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rl_watch {
  napi_env env;
  uv_handle_t *poll; /* NULL once it is closed or closing */
  int fd;            /* closed when the thread dies before `endWatch` */
  napi_ref callback;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  int references; /* the JavaScript handle, and libuv's until it has closed its own */
};

static void unref_watch(struct rl_watch *watch) {
  if (--watch->references == 0) free(watch);
}

static void finalize_watch(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  unref_watch(data);
}

static void on_closed(uv_handle_t *handle) {
  struct rl_watch *watch = uv_handle_get_data(handle);
  napi_async_cleanup_hook_handle cleanup = watch->cleanup;
  free(handle);
  unref_watch(watch);
  if (cleanup != NULL) napi_remove_async_cleanup_hook(cleanup);
}

static void end_watch(struct rl_watch *watch) {
  if (watch->poll == NULL) return;
  uv_handle_t *poll = watch->poll;
  watch->poll = NULL;
  uv_poll_stop(poll);
  napi_delete_reference(watch->env, watch->callback);
  napi_async_destroy(watch->env, watch->context);
  uv_close(poll, on_closed);
}

/* The thread is ending: the handle must be closed before libuv's loop is. */
static void on_cleanup(napi_async_cleanup_hook_handle handle, void *data) {
  (void)handle;
  struct rl_watch *watch = data;
  if (watch->poll == NULL) return;
  end_watch(watch);
  close(watch->fd);
}

/* One notice a call of `armWatch`: whoever finds nothing to read asks again. */
static void on_readable(uv_handle_t *handle, int status, int events) {
  (void)status;
  (void)events;
  struct rl_watch *watch = uv_handle_get_data(handle);
  napi_env env = watch->env;
  napi_handle_scope scope;
  uv_poll_stop(handle);
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback, receiver, error;
  bool pending = false;
  if (napi_get_reference_value(env, watch->callback, &callback) == napi_ok && napi_get_global(env, &receiver) == napi_ok &&
      napi_make_callback(env, watch->context, receiver, callback, 0, NULL, NULL) != napi_ok) {
    napi_is_exception_pending(env, &pending);
    if (pending && napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

/* watchDescriptor(fd, callback): an opaque handle, or a negative error number. Nothing is watched before `armWatch`. A thread that dies before `endWatch` closes the descriptor, too. */
static napi_value watch_descriptor(napi_env env, napi_callback_info info) {
  napi_value args[2], name, handle = NULL;
  uv_loop_t *uv = NULL;
  if (!rl_args(env, info, 2, args)) return NULL;
  const char *type = uv_handle_type_name(UV_POLL);
  if (type == NULL || strcmp(type, "poll") != 0) return rl_number(env, -ENOTSUP);
  struct rl_watch *watch = calloc(1, sizeof *watch);
  uv_handle_t *poll = calloc(1, uv_handle_size(UV_POLL));
  int failed = watch == NULL || poll == NULL || napi_get_uv_event_loop(env, (struct uv_loop_s **)&uv) != napi_ok ? -ENOMEM : uv_poll_init(uv, poll, rl_int(env, args[0]));
  if (failed != 0) {
    free(watch);
    free(poll);
    return rl_number(env, failed);
  }
  watch->env = env;
  watch->poll = poll;
  watch->fd = rl_int(env, args[0]);
  watch->references = 2;
  uv_handle_set_data(poll, watch);
  napi_create_reference(env, args[1], 1, &watch->callback);
  napi_create_string_utf8(env, "ringloom", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, NULL, name, &watch->context);
  napi_add_async_cleanup_hook(env, on_cleanup, watch, &watch->cleanup);
  napi_create_external(env, watch, finalize_watch, NULL, &handle);
  return handle;
}

static struct rl_watch *watch_argument(napi_env env, napi_value value) {
  void *data = NULL;
  napi_get_value_external(env, value, &data);
  return data;
}

/* armWatch(handle, on): the callback runs once when there is something to read, and the event loop lives until then; or it does not. 0, or a negative error number. */
static napi_value arm_watch(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  struct rl_watch *watch = watch_argument(env, args[0]);
  if (watch == NULL || watch->poll == NULL) return rl_number(env, -EBADF);
  return rl_number(env, rl_int(env, args[1]) ? uv_poll_start(watch->poll, UV_READABLE, on_readable) : uv_poll_stop(watch->poll));
}

/* endWatch(handle): the descriptor may be closed when this returns. Again it does nothing. */
static napi_value end_watch_call(napi_env env, napi_callback_info info) {
  napi_value args[1];
  if (!rl_args(env, info, 1, args)) return NULL;
  struct rl_watch *watch = watch_argument(env, args[0]);
  if (watch != NULL) end_watch(watch);
  return NULL;
}

void rl_watch_exports(napi_env env, napi_value exports) {
  rl_export(env, exports, "watchDescriptor", watch_descriptor);
  rl_export(env, exports, "armWatch", arm_watch);
  rl_export(env, exports, "endWatch", end_watch_call);
}
