/*
 * What a ring and an epoll set have in common: a handle for JavaScript, memory lent to it, and descriptors to close when the thread dies.
 *
 * Lifetime: a source lives until the last of its references is dropped (the handle, each ArrayBuffer over its memory, the loop hook),
 * because JavaScript may still read a mapped word after the source was closed.
 */
#define _GNU_SOURCE
#include "ringloom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const napi_type_tag SOURCE_TAG = {0x72696e676c6f6f6dULL, 0x0001000072696e67ULL};

/* Memory of zeros that costs nothing until it is touched, or NULL with errno. */
void *rl_map(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

/* A source of `size` bytes that owns `fd`, or NULL, and then `fd` is closed. */
struct rl_source *rl_source_new(napi_env env, const struct rl_source_kind *kind, size_t size, int fd) {
  struct rl_source *source = calloc(1, size);
  if (source != NULL) source->control = calloc(1, sizeof *source->control);
  if (source == NULL || source->control == NULL) {
    free(source);
    close(fd);
    return NULL;
  }
  source->kind = kind;
  source->env = env;
  source->fd = fd;
  source->references = 1;
  return source;
}

/* Whether TypeScript keeps `fd` in its table, from which closing the source closes it. */
bool rl_source_holds(const struct rl_source *source, int fd) {
  for (size_t index = 0; index < source->descriptors_size / sizeof(int32_t); index++)
    if (source->descriptors[index] == fd) return true;
  return false;
}

/* Ends what is in flight and closes. What JavaScript holds of the memory stays readable. */
void rl_source_close(struct rl_source *source) {
  if (source->fd < 0) return;
  source->kind->quiesce(source);
  close(source->fd);
  source->fd = -1;
  /* A thread that was killed closed nothing itself, and its peers must not wait for an answer for ever. */
  for (size_t index = 0; index < source->descriptors_size / sizeof(int32_t); index++) {
    if (source->descriptors[index] >= 0) close(source->descriptors[index]);
    source->descriptors[index] = -1;
  }
}

void rl_source_unref(struct rl_source *source) {
  if (--source->references > 0) return;
  rl_source_close(source);
  source->kind->destroy(source);
  if (source->descriptors != NULL) munmap(source->descriptors, source->descriptors_size);
  free(source->control);
  free(source);
}

static void release_buffer(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  rl_source_unref(hint);
}

static void release_handle(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  rl_source_unref(data);
}

/* Lends `size` bytes at `data`; NULL where this build of V8 forbids memory that it did not allocate (the sandbox). */
napi_value rl_source_lend(struct rl_source *source, void *data, size_t size) {
  napi_value buffer;
  if (napi_create_external_arraybuffer(source->env, data, size, release_buffer, source, &buffer) != napi_ok) return NULL;
  source->references++;
  return buffer;
}

/* A new object with `handle`, `control` and `fd`; the handle takes over the first reference. NULL as above. */
napi_value rl_source_describe(struct rl_source *source) {
  napi_env env = source->env;
  napi_value result, handle;
  napi_value control = rl_source_lend(source, source->control, sizeof *source->control);
  if (control == NULL) return NULL;
  napi_create_external(env, source, release_handle, NULL, &handle);
  napi_type_tag_object(env, handle, &SOURCE_TAG);
  napi_create_object(env, &result);
  rl_set(env, result, "handle", handle);
  rl_set(env, result, "control", control);
  rl_set(env, result, "fd", rl_number(env, source->fd));
  return result;
}

/* The source of a handle; of any kind where `kind` is NULL. Throws and returns NULL for anything else. */
struct rl_source *rl_source_unwrap(napi_env env, napi_value value, const struct rl_source_kind *kind) {
  bool is_source = false;
  void *data = NULL;
  if (napi_check_object_type_tag(env, value, &SOURCE_TAG, &is_source) != napi_ok || !is_source ||
      napi_get_value_external(env, value, &data) != napi_ok || (kind != NULL && ((struct rl_source *)data)->kind != kind)) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "Cannot use the handle: it names no ring or epoll set of this kind");
    return NULL;
  }
  return data;
}

/* descriptorTable(handle, count): words in which TypeScript keeps its open descriptors, all -1, or a negative error number. One a source. */
static napi_value descriptor_table(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  struct rl_source *source = rl_source_unwrap(env, args[0], NULL);
  if (source == NULL) return NULL;
  if (source->descriptors != NULL) return rl_number(env, -EEXIST);
  size_t size = (size_t)rl_double(env, args[1]) * sizeof(int32_t);
  void *memory = rl_map(size);
  if (memory == NULL) return rl_number(env, -errno);
  memset(memory, 0xff, size);
  source->descriptors = memory;
  source->descriptors_size = size;
  napi_value buffer = rl_source_lend(source, memory, size);
  return buffer == NULL ? rl_number(env, -ENOTSUP) : buffer;
}

/* closeSource(handle): cancels what is in flight, waits for it and closes the descriptor. The memory stays until nobody has it. */
static napi_value close_source(napi_env env, napi_callback_info info) {
  napi_value args[1];
  if (!rl_args(env, info, 1, args)) return NULL;
  struct rl_source *source = rl_source_unwrap(env, args[0], NULL);
  if (source != NULL) rl_source_close(source);
  return NULL;
}

/* addressOf(arrayBuffer): where its bytes are, as a number (user addresses have 47 bits, 56 at most, on what Node runs on). */
static napi_value address_of(napi_env env, napi_callback_info info) {
  napi_value args[1];
  void *data = NULL;
  size_t size = 0;
  if (!rl_args(env, info, 1, args)) return NULL;
  bool is_view = false;
  napi_typedarray_type type;
  napi_is_typedarray(env, args[0], &is_view);
  napi_status status = is_view ? napi_get_typedarray_info(env, args[0], &type, &size, &data, NULL, NULL)
                               : napi_get_arraybuffer_info(env, args[0], &data, &size);
  if (status != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "Cannot take the address: the value is neither an ArrayBuffer nor a typed array");
    return NULL;
  }
  return rl_number(env, (double)(uintptr_t)data);
}

void rl_source_exports(napi_env env, napi_value exports) {
  rl_export(env, exports, "descriptorTable", descriptor_table);
  rl_export(env, exports, "closeSource", close_source);
  rl_export(env, exports, "addressOf", address_of);
}
